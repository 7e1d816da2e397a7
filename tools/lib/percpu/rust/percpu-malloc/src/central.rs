// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! What is behind the caches, for each class: chains of blocks that came from one cache and go to
//! another as they are, and pages with blocks that are free.

use core::ptr::null_mut;

use percpu::op::{join, split};

use crate::class;
use crate::lock::Lock;
use crate::segment::{self, Page, PAGE};

/// Chains that are kept.
const CHAINS: usize = 16;

struct Central {
    chains: [usize; CHAINS],
    count: usize,
    /// Pages that have a free block.
    pages: *mut Page,
}

// SAFETY: Blocks and pages are everybody's who holds the lock.
unsafe impl Send for Central {}

static CENTRAL: [Lock<Central>; class::COUNT] = [const {
    Lock::new(Central {
        chains: [0; CHAINS],
        count: 0,
        pages: null_mut(),
    })
}; class::COUNT];

/// A chain of at least one block, for a cache that is empty. It is a list as caches are.
pub(crate) fn take(class: usize) -> Option<usize> {
    let mut central = CENTRAL[class].lock();
    if central.count > 0 {
        central.count -= 1;
        return Some(central.chains[central.count]);
    }
    let mut chain = 0;
    for count in 1..=class::limit(class) / 2 {
        let Some(block) = central.take(class) else {
            break;
        };
        // SAFETY: The block is ours.
        unsafe { *(block as *mut usize) = chain };
        chain = join(count, block);
    }
    (chain != 0).then_some(chain)
}

/// One block.
pub(crate) fn take_one(class: usize) -> Option<usize> {
    CENTRAL[class].lock().take(class)
}

/// # Safety
///
/// A list of blocks of that class that nobody uses.
pub(crate) unsafe fn give(class: usize, chain: usize) {
    let mut central = CENTRAL[class].lock();
    if central.count < CHAINS {
        let count = central.count;
        central.chains[count] = chain;
        central.count += 1;
    } else {
        // SAFETY: By contract.
        unsafe { central.give_all(class, chain) };
    }
}

/// # Safety
///
/// As for [`give()`]. These go back to their pages, and pages to where they are from.
pub(crate) unsafe fn give_back(class: usize, chain: usize) {
    // SAFETY: By contract.
    unsafe { CENTRAL[class].lock().give_all(class, chain) };
}

/// Chains go back to their pages.
pub(crate) fn clean() {
    for (class, central) in CENTRAL.iter().enumerate().skip(1) {
        let mut central = central.lock();
        while central.count > 0 {
            central.count -= 1;
            let chain = central.chains[central.count];
            // SAFETY: A list of blocks that is kept here.
            unsafe { central.give_all(class, chain) };
        }
    }
}

impl Central {
    // SAFETY of what is below: pages of this class, and their free blocks, are in the hands of the
    // lock's holder.
    fn take(&mut self, class: usize) -> Option<usize> {
        let size = class::size(class);
        if self.pages.is_null() {
            let page = segment::take(1, class as u8)?;
            // SAFETY: A page that is ours.
            unsafe {
                *page = Page {
                    free: 0,
                    fresh: 0,
                    used: 0,
                    next: null_mut(),
                    prev: null_mut(),
                }
            };
            self.insert(page);
        }
        // SAFETY: See above.
        unsafe {
            let page = &mut *self.pages;
            let block = if page.free != 0 {
                let block = page.free;
                page.free = *(block as *const usize);
                block
            } else {
                page.fresh += size;
                segment::start(page) + page.fresh - size
            };
            page.used += 1;
            if page.free == 0 && page.fresh + size > PAGE {
                self.remove(page);
            }
            Some(block)
        }
    }

    unsafe fn give_all(&mut self, class: usize, mut chain: usize) {
        while let (_, block @ 1..) = split(chain) {
            // SAFETY: By contract of give(), a free block of this class.
            unsafe {
                chain = *(block as *const usize);
                self.give(class, block);
            }
        }
    }

    unsafe fn give(&mut self, class: usize, block: usize) {
        let size = class::size(class);
        let segment = segment::of(block);
        // SAFETY: See above.
        unsafe {
            let page = &mut (*segment).pages[segment::page_of(segment, block)];
            let was_full = page.free == 0 && page.fresh + size > PAGE;
            *(block as *mut usize) = page.free;
            page.free = block;
            page.used -= 1;
            if was_full {
                self.insert(page);
            }
            if page.used == 0 {
                self.remove(page);
                segment::give(page, 1);
            }
        }
    }

    fn insert(&mut self, page: *mut Page) {
        // SAFETY: See above.
        unsafe {
            (*page).next = self.pages;
            (*page).prev = null_mut();
            if let Some(first) = self.pages.as_mut() {
                first.prev = page;
            }
        }
        self.pages = page;
    }

    fn remove(&mut self, page: *mut Page) {
        // SAFETY: See above.
        unsafe {
            let (next, prev) = ((*page).next, (*page).prev);
            match prev.as_mut() {
                Some(prev) => prev.next = next,
                None => self.pages = next,
            }
            if let Some(next) = next.as_mut() {
                next.prev = prev;
            }
        }
    }
}

/// For fork handlers.
pub(crate) fn acquire() {
    CENTRAL.iter().for_each(Lock::acquire);
}

pub(crate) fn release() {
    CENTRAL.iter().for_each(Lock::release);
}
