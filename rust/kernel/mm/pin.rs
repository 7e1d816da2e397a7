// SPDX-License-Identifier: GPL-2.0

//! Pinned pages of user memory.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    ffi::{
        c_int,
        c_uint,
        c_ulong,
        c_void, //
    },
    mm::MmapReadGuard,
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*, //
};
use core::{
    marker::PhantomData,
    ptr,
    slice, //
};

/// What pages are pinned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The pages are only read.
    ///
    /// A page that the process has for itself stays the one that it accesses. In a writable private
    /// mapping that may not be so for a page that it shares with others, the zero page or one of a
    /// file: what it writes later goes to a copy.
    Read,
    /// The pages are written, and [marked dirty](PinnedPage::mark_dirty) before they are unpinned.
    ///
    /// File systems that track dirty pages are not told, see [`PinnedPage::tracks_dirty`].
    Write,
}

impl Access {
    #[inline]
    fn flags(self) -> c_uint {
        match self {
            Self::Read => 0,
            Self::Write => bindings::FOLL_WRITE,
        }
    }
}

/// The address of a page of user memory or, once it is pinned, that page.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Slot(*mut bindings::page);

impl Slot {
    /// The page that has the address `addr` in it.
    #[inline(always)]
    pub fn at(addr: usize) -> Self {
        Self(ptr::without_provenance_mut(addr & PAGE_MASK))
    }

    /// Its address, as long as it is not pinned.
    #[inline(always)]
    pub fn addr(self) -> usize {
        self.0.addr()
    }
}

/// How pages are pinned.
#[derive(Clone, Copy)]
pub enum How<'a> {
    /// If they are there already, in the way that the access needs, and can be had without a lock.
    /// Does not sleep.
    Present,
    /// As above, also those that are not to be had without the mmap lock of the current process,
    /// which is this one, such as the zero page.
    Mapped(&'a MmapReadGuard<'a>),
    /// After they were faulted in. May sleep, for as long as user space likes: a fault handler can
    /// be there. A fatal signal ends that. Nothing that others wait for should be held, such as
    /// other pages.
    FaultIn,
}

/// Pages of the current process that stay what and where they are until this is dropped.
///
/// The process may unmap the pages, but they are neither freed nor moved nor swapped out, and
/// fork(2) leaves them with the parent.
///
/// # Invariants
///
/// The first `len` of `slots` point to pages that this has pinned. The others are addresses.
///
/// # Examples
///
/// ```
/// use kernel::mm::pin::{Access, How, PinnedPages, Slot};
///
/// let mut slots = [Slot::at(0), Slot::at(4096)];
/// let mut pages = PinnedPages::new(&mut slots);
///
/// // Nothing is mapped there, for no program.
/// assert!(pages.pin(How::Present, Access::Read, 2).is_err());
/// assert!(pages.pin(How::FaultIn, Access::Read, 1).is_err());
/// assert!(pages.pinned().is_empty());
/// assert_eq!(pages.next_address(), Some(0));
/// ```
pub struct PinnedPages<'a> {
    slots: &'a mut [Slot],
    len: usize,
}

impl<'a> PinnedPages<'a> {
    /// The pages whose addresses are in `slots`, not pinned yet.
    #[inline]
    pub fn new(slots: &'a mut [Slot]) -> Self {
        // INVARIANT: None of zero.
        Self { slots, len: 0 }
    }

    /// The address of the page that would be pinned next. `None` if all are pinned.
    #[inline]
    pub fn next_address(&self) -> Option<usize> {
        self.slots.get(self.len).map(|slot| slot.addr())
    }

    /// Pins the next pages, as far as they follow one another in memory, but not more than `max`.
    /// Fewer if one of them cannot be pinned, but at least one.
    ///
    /// # Errors
    ///
    /// `ENOENT` if all are pinned, or `max` is 0. `EAGAIN` or `EFAULT` if the page has to be
    /// faulted in before, or cannot be pinned in this way; `EFAULT` if this is a kernel thread, or
    /// the mmap lock is that of another process; `EFAULT` of [`How::FaultIn`] if it cannot be
    /// faulted in, also `ENOMEM`, and `EINTR` and the like if the task was killed.
    #[inline]
    pub fn pin(&mut self, how: How<'_>, access: Access, max: usize) -> Result {
        let left = self.slots.get_mut(self.len..).unwrap_or_default();
        let start = left.first().ok_or(ENOENT)?.addr();
        let follows = |i: usize, slot: &Slot| slot.addr() == start.wrapping_add(i * PAGE_SIZE);
        let mut count = 0;
        while count < max && left.get(count).is_some_and(|slot| follows(count, slot)) {
            count += 1;
        }
        let slots = left.get_mut(..count).unwrap_or_default();

        let result = how.pin(start, slots, access);
        let pinned = result.unwrap_or(0);
        for (i, slot) in slots.iter_mut().enumerate().skip(pinned) {
            // INVARIANT: It may have been overwritten.
            *slot = Slot::at(start.wrapping_add(i * PAGE_SIZE));
        }
        // INVARIANT: They have been pinned.
        self.len += pinned;
        match result {
            // As some are wanted, none is a fault.
            Ok(0) if matches!(how, How::FaultIn) => Err(EFAULT),
            Ok(0) => Err(EAGAIN),
            Ok(_) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Whether all are pinned.
    #[inline]
    pub fn is_complete(&self) -> bool {
        self.len == self.slots.len()
    }

    /// The pages that are pinned.
    #[inline(always)]
    pub fn pinned(&self) -> &[PinnedPage<'_>] {
        // INVARIANT: By those of the type. They stay pinned while `self` is borrowed.
        //
        // SAFETY: There are so many slots, and both types are transparent for the pointer.
        unsafe { slice::from_raw_parts(self.slots.as_ptr().cast(), self.len) }
    }
}

impl Drop for PinnedPages<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: By the type invariants all of these pages are pinned.
            unsafe { bindings::unpin_user_pages(self.slots.as_mut_ptr().cast(), self.len) };
        }
    }
}

impl How<'_> {
    /// Pins pages from `start` until `slots` is full or it fails. Returns how many.
    #[inline]
    fn pin(self, start: usize, slots: &mut [Slot], access: Access) -> Result<usize> {
        let current = current!();
        let mm = current.mm().ok_or(EFAULT)?;
        let count = slots.len() as c_int;
        let slots = slots.as_mut_ptr().cast();
        let flags = access.flags();

        if count == 0 {
            return Err(ENOENT);
        }
        // SAFETY: There is user memory, and `slots` has room for so many pages, at least one. The
        // mmap lock is held where it has to be.
        let pinned = unsafe {
            match self {
                Self::Present => {
                    bindings::pin_user_pages_fast_only(start, count, flags, slots) as isize
                }
                Self::Mapped(lock) => {
                    let flags = flags | bindings::FOLL_NOFAULT;

                    if !ptr::eq(lock.mm, mm) {
                        return Err(EFAULT);
                    }

                    bindings::pin_user_pages(start, count as c_ulong, flags, slots) as isize
                }
                Self::FaultIn => {
                    // What hints at a move to another NUMA node has to be gone, too.
                    let flags = flags | bindings::FOLL_HONOR_NUMA_FAULT;

                    bindings::pin_user_pages_fast(start, count, flags, slots) as isize
                }
            }
        };
        usize::try_from(pinned).map_err(|_| Error::from_errno(pinned as c_int))
    }
}

/// A page that is pinned for `'p`.
///
/// # Invariants
///
/// The pointer is valid, and the page pinned, for `'p`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct PinnedPage<'p>(*mut bindings::page, PhantomData<&'p bindings::page>);

impl PinnedPage<'_> {
    /// The pointer to the `struct page`.
    #[inline]
    pub fn as_ptr(self) -> *mut bindings::page {
        self.0
    }

    /// Whether the page is anonymous memory, not one of a file, nor the zero page.
    #[inline]
    pub fn is_anonymous(self) -> bool {
        // SAFETY: By the type invariant the page is valid.
        unsafe { bindings::PageAnon(self.0) }
    }

    /// Whether stores to the page have to be announced to the file system that it belongs to, each
    /// time after the page was written back, which a pin does not do.
    ///
    /// Not so for anonymous memory, tmpfs and hugetlbfs. A page that has just been truncated counts
    /// as one of an unknown file.
    #[inline]
    pub fn tracks_dirty(self) -> bool {
        // SAFETY: By the type invariant the page is valid.
        !self.is_anonymous() && unsafe { bindings::page_tracks_dirty(self.0) }
    }

    /// Has its content written to swap before it is reclaimed, after it was written to. Nothing for
    /// pages that [track that](Self::tracks_dirty).
    #[inline]
    pub fn mark_dirty(self) {
        if !self.tracks_dirty() {
            // SAFETY: By the type invariant the page is valid.
            unsafe { bindings::page_mark_dirty(self.0) };
        }
    }

    /// Has the kernel handle the page as one whose memory has an error that cannot be corrected,
    /// after an access has found that: takes it away from all who have it mapped, some time later.
    /// Nothing if that is known already, or without `CONFIG_MEMORY_FAILURE`.
    ///
    /// C: `memory_failure_queue()`
    #[cold]
    pub fn report_poison(self) {
        // SAFETY: By the type invariant the page is valid.
        unsafe { bindings::page_report_poison(self.0) };
    }

    /// The address at which the kernel itself has the page mapped for good.
    ///
    /// User space, other CPUs and devices may access the page at the same time.
    #[cfg(not(CONFIG_HIGHMEM))]
    #[inline]
    pub fn address(self) -> *mut c_void {
        // SAFETY: By the type invariant the page is valid.
        unsafe { bindings::page_address(self.0) }
    }
}
