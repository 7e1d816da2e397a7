// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! Memory from the kernel: segments of 4 MiB at multiples of that, of 64 pages. The first page tells
//! about the others.

use core::ptr::null_mut;

use crate::lock::Lock;
use crate::os;

pub(crate) const SEGMENT: usize = 4 << 20;
pub(crate) const PAGE: usize = 64 << 10;
const PAGES: usize = SEGMENT / PAGE;

/// What a page is used for, instead of a class: the first of a run, and a segment that is one block.
pub(crate) const RUN: u8 = 254;
pub(crate) const HUGE: u8 = 255;

/// Pages that are free and have memory, beyond which it is given back at once.
const DIRTY: usize = 1024;

/// A page of blocks of one class, in the hands of that class's lock; of a run, `used` is the number
/// of its pages.
pub(crate) struct Page {
    /// Free blocks, by address; the first word of each is the next one's.
    pub(crate) free: usize,
    /// Blocks that nobody has used so far are at the end.
    pub(crate) fresh: usize,
    pub(crate) used: usize,
    pub(crate) next: *mut Page,
    pub(crate) prev: *mut Page,
}

#[repr(C, align(64))]
pub(crate) struct Segment {
    /// The class of each page. That behind the last one is for a huge block that is so much aligned
    /// that it begins there.
    pub(crate) class: [u8; 128],
    /// Of one block: the length of the mapping, and where the block begins.
    pub(crate) len: usize,
    pub(crate) start: usize,
    /// A bit for each page: nobody uses it; and of these: it may have memory.
    free: u64,
    dirty: u64,
    next: *mut Segment,
    prev: *mut Segment,
    pub(crate) pages: [Page; PAGES],
    /// For debugging: a bit for each 16 bytes, set where a block that is in use begins.
    pub(crate) live: [[u64; PAGE / 16 / 64]; PAGES],
}

const _: () = assert!(size_of::<Segment>() <= PAGE);

/// Pages 1 to 63.
const ALL: u64 = !1;

/// Those that have free pages.
struct Heap {
    first: *mut Segment,
    dirty: usize,
}

// SAFETY: Segments are everybody's who holds the lock.
unsafe impl Send for Heap {}

static HEAP: Lock<Heap> = Lock::new(Heap {
    first: null_mut(),
    dirty: 0,
});

/// The segment of a block. A huge block can begin at the end of its segment.
#[inline(always)]
pub(crate) fn of(address: usize) -> *mut Segment {
    ((address - 1) & !(SEGMENT - 1)) as *mut Segment
}

/// Which page of it the block is in.
#[inline(always)]
pub(crate) fn page_of(segment: *mut Segment, address: usize) -> usize {
    (address - segment as usize) / PAGE
}

/// Where the memory of a page is.
pub(crate) fn start(page: *mut Page) -> usize {
    let segment = page as usize & !(SEGMENT - 1);
    let first = segment + core::mem::offset_of!(Segment, pages);
    segment + (page as usize - first) / size_of::<Page>() * PAGE
}

/// The lowest of `n` pages in a row.
fn find(free: u64, n: usize) -> Option<usize> {
    let mut rows = free;
    for shift in 1..n {
        rows &= free >> shift;
    }
    (rows != 0).then(|| rows.trailing_zeros() as usize)
}

fn mask(page: usize, n: usize) -> u64 {
    (u64::MAX >> (64 - n)) << page
}

impl Heap {
    // SAFETY of what is below: segments in the list are mapped, and in the hands of the lock's
    // holder.
    fn insert(&mut self, segment: *mut Segment) {
        // SAFETY: See above.
        unsafe {
            (*segment).next = self.first;
            (*segment).prev = null_mut();
            if let Some(first) = self.first.as_mut() {
                first.prev = segment;
            }
        }
        self.first = segment;
    }

    fn remove(&mut self, segment: *mut Segment) {
        // SAFETY: See above.
        unsafe {
            let (next, prev) = ((*segment).next, (*segment).prev);
            match prev.as_mut() {
                Some(prev) => prev.next = next,
                None => self.first = next,
            }
            if let Some(next) = next.as_mut() {
                next.prev = prev;
            }
        }
    }

    /// Gives the memory of a segment's free pages back, or all of it.
    fn clean(&mut self, segment: *mut Segment) {
        let address = segment as usize;
        // SAFETY: See above.
        let (free, mut dirty) =
            unsafe { ((*segment).free, core::mem::take(&mut (*segment).dirty)) };
        self.dirty -= dirty.count_ones() as usize;
        if free == ALL {
            self.remove(segment);
            // SAFETY: Nobody uses any of it.
            return unsafe { os::unmap(address, SEGMENT) };
        }
        while dirty != 0 {
            let page = dirty.trailing_zeros() as usize;
            let n = (dirty >> page).trailing_ones() as usize;
            // SAFETY: Free pages.
            unsafe { os::discard(address + page * PAGE, n * PAGE) };
            dirty &= !mask(page, n);
        }
    }
}

/// `n` pages, 1 to 63, for a class, or a run.
pub(crate) fn take(n: usize, class: u8) -> Option<*mut Page> {
    let mut heap = HEAP.lock();
    let mut at = heap.first;
    // SAFETY: See Heap.
    unsafe {
        let page = loop {
            let Some(segment) = at.as_ref() else {
                at = os::map(SEGMENT, SEGMENT)? as *mut Segment;
                (*at).free = ALL;
                heap.insert(at);
                break 1;
            };
            match find(segment.free, n) {
                Some(page) => break page,
                None => at = segment.next,
            }
        };
        let segment = &mut *at;
        let taken = mask(page, n);
        segment.free &= !taken;
        heap.dirty -= (segment.dirty & taken).count_ones() as usize;
        segment.dirty &= !taken;
        if segment.free == 0 {
            heap.remove(segment);
        }
        segment.class[page] = class;
        segment.pages[page].used = n;
        Some(&raw mut segment.pages[page])
    }
}

/// # Safety
///
/// The pages are from [`take()`], and nobody uses them any more.
pub(crate) unsafe fn give(page: *mut Page, n: usize) {
    let address = start(page);
    let segment = of(address);
    let mut heap = HEAP.lock();
    // SAFETY: See Heap; the pages are ours.
    unsafe {
        let segment = &mut *segment;
        let page = page_of(segment, address);
        if segment.free == 0 {
            heap.insert(segment);
        }
        segment.class[page] = 0;
        segment.free |= mask(page, n);
        segment.dirty |= mask(page, n);
        heap.dirty += n;
        if heap.dirty > DIRTY {
            heap.clean(segment);
        }
    }
}

/// Gives the memory of all free pages back.
pub(crate) fn clean() {
    let mut heap = HEAP.lock();
    let mut at = heap.first;
    while !at.is_null() {
        let segment = at;
        // SAFETY: See Heap.
        at = unsafe { (*segment).next };
        heap.clean(segment);
    }
}

/// A block with segments of its own.
pub(crate) fn take_huge(size: usize, align: usize) -> Option<usize> {
    let offset = PAGE.max(align);
    let len = size.checked_add(offset)?.checked_next_multiple_of(4096)?;
    if len > isize::MAX as usize {
        return None;
    }
    let address = os::map(len, SEGMENT.max(align))?;
    // With an alignment above that of segments, the header is in the last segment before it.
    let start = address + offset;
    let segment = of(start);
    if align > SEGMENT {
        // SAFETY: Nothing is in front of the header.
        unsafe { os::unmap(address, segment as usize - address) };
    }
    // SAFETY: A new mapping, zeroed.
    unsafe {
        (*segment).class = [HUGE; 128];
        (*segment).len = address + len - segment as usize;
        (*segment).start = start;
    }
    Some(start)
}

/// # Safety
///
/// A segment of [`take_huge()`] whose block nobody uses any more.
pub(crate) unsafe fn give_huge(segment: *mut Segment) {
    // SAFETY: By contract.
    unsafe { os::unmap(segment as usize, (*segment).len) };
}

/// For fork handlers.
pub(crate) fn acquire() {
    HEAP.acquire();
}

pub(crate) fn release() {
    HEAP.release();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_pages() {
        assert_eq!(find(ALL, 63), Some(1));
        assert_eq!(find(ALL, 1), Some(1));
        assert_eq!(find(0b1011_0110, 2), Some(1));
        assert_eq!(find(0b1011_0100, 2), Some(4));
        assert_eq!(find(0b1011_0100, 3), None);
        assert_eq!(find(0, 1), None);
        assert_eq!(mask(1, 63), ALL);
        assert_eq!(mask(4, 2), 0b11_0000);
    }

    #[test]
    fn blocks_of_their_own() {
        for (size, align) in [
            (1 << 20, 16),
            (5 << 20, 1 << 20),
            (1, SEGMENT),
            (1, 4 * SEGMENT),
        ] {
            let start = take_huge(size, align).unwrap();
            assert_eq!(start % align, 0);
            let segment = of(start);
            // SAFETY: The block is ours, and has that length.
            unsafe {
                assert_eq!((*segment).class[page_of(segment, start)], HUGE);
                core::ptr::write_bytes(start as *mut u8, 1, size);
                assert_eq!((*segment).start, start);
                give_huge(segment);
            }
        }
        assert_eq!(take_huge(usize::MAX, 16), None);
        assert_eq!(take_huge(isize::MAX as usize, 16), None);
    }
}
