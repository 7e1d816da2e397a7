// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! malloc() and free(), by addresses; 0 is none.

use core::ptr::{copy_nonoverlapping, write_bytes};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use percpu::op::{self, NotDone};
use percpu::Cid;

use crate::segment::{self, Page, Segment, HUGE, PAGE, RUN};
use crate::{cache, central, class, mode, os, reclaim};

/// How many blocks of a class a cache may have: none as long as caches are not used.
static LIMITS: [AtomicUsize; class::COUNT] = [const { AtomicUsize::new(0) }; class::COUNT];

/// From now on caches are used.
pub(crate) fn use_caches() {
    for (class, limit) in LIMITS.iter().enumerate().skip(1) {
        limit.store(class::limit(class), Relaxed);
    }
}

/// Runs of pages up to that size; larger blocks have segments of their own.
const LARGEST_RUN: usize = 32 * PAGE;

/// What there is no memory for, there may be when all that is kept was given back.
fn or_reclaim(attempt: impl Fn() -> Option<usize>) -> Option<usize> {
    attempt().or_else(|| {
        reclaim::all();
        attempt()
    })
}

#[inline(always)]
pub(crate) fn alloc(size: usize) -> usize {
    match class::of(size) {
        Some(class) => alloc_class(class),
        None => alloc_pages(size),
    }
}

#[inline(always)]
fn alloc_class(class: usize) -> usize {
    match cache::pop(class) {
        Ok(block) => block,
        Err(why) => refill(class, why),
    }
}

#[cold]
#[inline(never)]
fn refill(class: usize, why: NotDone) -> usize {
    if mode::checked() {
        let block = or_reclaim(|| central::take_one(class)).unwrap_or(0);
        mode::taken(block);
        return block;
    }
    // A thread that was not registered is now; or something interrupts us again and again.
    if why == NotDone::Aborted {
        if op::retry::<Cid>() {
            if let Ok(block) = cache::pop(class) {
                return block;
            }
        }
        return or_reclaim(|| central::take_one(class)).unwrap_or(0);
    }
    let Some(chain) = or_reclaim(|| central::take(class)) else {
        return 0;
    };
    let (_, block) = op::split(chain);
    // SAFETY: The chain is ours; its first block is the caller's.
    unsafe {
        let rest = *(block as *const usize);
        if rest != 0 && !cache::fill(class, rest) {
            central::give(class, rest);
        }
    }
    block
}

#[cold]
fn alloc_pages(size: usize) -> usize {
    mode::checked();
    if size <= LARGEST_RUN {
        or_reclaim(|| segment::take(size.div_ceil(PAGE), RUN).map(segment::start)).unwrap_or(0)
    } else {
        take_huge(size, PAGE)
    }
}

fn take_huge(size: usize, align: usize) -> usize {
    or_reclaim(|| segment::take_huge(size, align)).unwrap_or(0)
}

/// `align` is a power of 2.
pub(crate) fn alloc_aligned(size: usize, align: usize) -> usize {
    if align <= 16 {
        alloc(size)
    } else if align > PAGE {
        take_huge(size, align)
    } else {
        match class::of_aligned(size, align) {
            Some(class) => alloc_class(class),
            None => alloc_pages(size.max(class::LARGEST + 1)),
        }
    }
}

pub(crate) fn alloc_zeroed(size: usize) -> usize {
    let block = alloc(size);
    if block != 0 && size <= LARGEST_RUN {
        // SAFETY: The block is ours.
        unsafe { write_bytes(block as *mut u8, 0, size) };
    }
    block
}

/// # Safety
///
/// The block is from here, and nobody uses it any more.
#[inline(always)]
pub(crate) unsafe fn free(block: usize) {
    let segment = segment::of(block);
    // SAFETY: The segment of a block is there.
    let class = unsafe { (*segment).class[segment::page_of(segment, block) & 127] } as usize;
    match LIMITS.get(class) {
        Some(limit) => {
            // SAFETY: By contract.
            if let Err(why) = unsafe { cache::push(class, block, limit.load(Relaxed)) } {
                // SAFETY: By contract.
                os::quietly(|| unsafe { flush(class, block, why) });
            }
        }
        // SAFETY: By contract.
        None => unsafe { free_pages(segment, block, class as u8) },
    }
}

#[cold]
#[inline(never)]
unsafe fn flush(class: usize, block: usize, why: NotDone) {
    if class == 0 {
        os::die(mode::NO_BLOCK);
    }
    if mode::checked() {
        mode::given(class, block);
    } else {
        if why == NotDone::Limit {
            // Half of it goes, so that neither the next free() nor the next malloc() comes here.
            let id = <Cid as percpu::Index>::current();
            if let Ok(chain @ 1..) = cache::drain(id as usize, class) {
                // SAFETY: A list of blocks that is ours.
                unsafe {
                    let (kept, rest) = cut(chain);
                    if !cache::fill(class, kept) {
                        central::give(class, kept);
                    }
                    if rest != 0 {
                        central::give(class, rest);
                    }
                }
            }
        }
        let limit = LIMITS[class].load(Relaxed);
        // SAFETY: By contract of free().
        if op::retry::<Cid>() && unsafe { cache::push(class, block, limit) }.is_ok() {
            return;
        }
    }
    // SAFETY: By contract of free(): a list of one.
    unsafe {
        *(block as *mut usize) = 0;
        central::give_back(class, op::join(1, block));
    }
}

/// Cuts a list into two: first the blocks that were used last.
///
/// # Safety
///
/// A list of at least one block that is ours.
unsafe fn cut(chain: usize) -> (usize, usize) {
    let (count, first) = op::split(chain);
    let kept = count.div_ceil(2);
    let mut block = first;
    for n in (0..kept).rev() {
        let link = block as *mut usize;
        // SAFETY: By contract.
        let rest = unsafe { *link };
        block = op::split(rest).1;
        if n == 0 {
            // SAFETY: By contract.
            unsafe { *link = 0 };
            return (op::join(kept, first), rest);
        }
        // SAFETY: By contract.
        unsafe { *link = op::join(n, block) };
    }
    (0, chain)
}

#[cold]
unsafe fn free_pages(segment: *mut Segment, block: usize, class: u8) {
    // SAFETY: By contract of free().
    unsafe {
        match class {
            HUGE if (*segment).start == block => segment::give_huge(segment),
            RUN => {
                let page: *mut Page = &raw mut (*segment).pages[segment::page_of(segment, block)];
                segment::give(page, (*page).used);
            }
            _ => os::die(mode::NO_BLOCK),
        }
    }
}

/// # Safety
///
/// The block is from here.
pub(crate) unsafe fn usable(block: usize) -> usize {
    let segment = segment::of(block);
    let page = segment::page_of(segment, block);
    // SAFETY: The segment of a block is there.
    unsafe {
        match (*segment).class[page & 127] {
            HUGE => segment as usize + (*segment).len - block,
            RUN => (*segment).pages[page].used * PAGE,
            class => class::size(class as usize),
        }
    }
}

/// # Safety
///
/// As for [`free()`] if the answer is not 0; else the block stays as it is.
pub(crate) unsafe fn realloc(block: usize, size: usize) -> usize {
    // SAFETY: By contract.
    let before = unsafe { usable(block) };
    if size <= before && size >= before / 2 {
        return block;
    }
    let new = alloc(size);
    if new != 0 {
        // SAFETY: Both blocks have that length.
        unsafe {
            copy_nonoverlapping(block as *const u8, new as *mut u8, before.min(size));
            free(block);
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cut_in_the_middle() {
        for count in 1..=5 {
            let mut blocks = [0usize; 5];
            let address = |n: usize, blocks: &[usize; 5]| &raw const blocks[n] as usize;
            let mut chain = 0;
            for n in 0..count {
                blocks[n] = chain;
                chain = op::join(n + 1, address(n, &blocks));
            }
            // SAFETY: A list of these.
            let (kept, rest) = unsafe { cut(chain) };
            let mut found = Vec::new();
            for mut list in [kept, rest] {
                while let (left, block @ 1..) = op::split(list) {
                    // SAFETY: One of these.
                    list = unsafe { *(block as *const usize) };
                    assert_eq!(op::split(list).0, left - 1);
                    found.push(block);
                }
            }
            let all: Vec<_> = (0..count).rev().map(|n| address(n, &blocks)).collect();
            assert_eq!(found, all);
            assert_eq!(
                (op::split(kept).0, op::split(rest).0),
                (count.div_ceil(2), count / 2)
            );
        }
    }
}
