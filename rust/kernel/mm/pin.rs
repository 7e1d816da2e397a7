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
    page::PAGE_MASK,
    prelude::*, //
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit, //
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
    /// The pages are written, and [marked dirty](PinnedPages::mark_dirty) before they are unpinned.
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

/// Room for one pinned page.
pub type Slot = MaybeUninit<*mut bindings::page>;

/// Pages of the current process that stay what and where they are until this is dropped.
///
/// The process may unmap the pages, but they are neither freed nor moved nor swapped out, and
/// fork(2) leaves them with the parent.
///
/// # Invariants
///
/// The first `len` of `pages` point to pages that this has pinned for `access`.
///
/// # Examples
///
/// ```
/// use kernel::mm::pin::{Access, PinnedPages, Slot};
///
/// let mut slots = [Slot::uninit(); 4];
/// let mut pages = PinnedPages::new(&mut slots, Access::Read);
///
/// // Nothing is mapped there, for no program.
/// assert!(pages.pin_present(0, 1).is_err());
/// assert!(pages.pin_present(0, 0).is_err());
/// assert!(pages.pin_mapped(0, 1).is_err());
/// assert!(pages.fault_in(0).is_err());
/// assert_eq!(pages.len(), 0);
/// ```
pub struct PinnedPages<'a> {
    pages: &'a mut [Slot],
    len: usize,
    access: Access,
}

impl<'a> PinnedPages<'a> {
    /// Creates an empty set, which has room for as many pages as `pages` has elements.
    #[inline]
    pub fn new(pages: &'a mut [Slot], access: Access) -> Self {
        // INVARIANT: None of zero.
        Self {
            pages,
            len: 0,
            access,
        }
    }

    /// Pins one page after the other, `count` of them from the one at the user address `start`, if
    /// they are all there already, in the way that this needs. Does not sleep.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there is no room; `EAGAIN` if a page has to be faulted in, or is of a kind that
    /// cannot be pinned; `EFAULT` if this is a kernel thread. Pages before the one that failed stay
    /// pinned.
    #[inline]
    pub fn pin_present(&mut self, start: usize, count: usize) -> Result {
        self.pin(How::Present, start, count)
    }

    /// As [`pin_present`](Self::pin_present), also pages that are not to be had without the mmap lock,
    /// such as the zero page. Does not wait for that.
    ///
    /// # Errors
    ///
    /// As for [`pin_present`](Self::pin_present).
    pub fn pin_mapped(&mut self, start: usize, count: usize) -> Result {
        let current = current!();
        let _lock = current
            .mm()
            .ok_or(EFAULT)?
            .mmap_read_trylock()
            .ok_or(EAGAIN)?;

        self.pin(How::Mapped, start, count)
    }

    /// Pins the page at the user address `start`, and faults it in before.
    ///
    /// May sleep, for as long as user space likes: a fault handler can be there. A fatal signal ends
    /// that. Nothing that others wait for should be held, such as other pages.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there is no room; `EFAULT` if the page is not mapped for that access, or of a kind
    /// that cannot be pinned, or if this is a kernel thread; `ENOMEM`; `EINTR` and the like if the
    /// task was killed.
    pub fn fault_in(&mut self, start: usize) -> Result {
        // As none is wanted less than one, none is a fault.
        self.pin(How::FaultIn, start, 1)
            .map_err(|e| if e == EAGAIN { EFAULT } else { e })
    }

    #[inline]
    fn pin(&mut self, how: How, start: usize, count: usize) -> Result {
        let slots = self
            .pages
            .get_mut(self.len..)
            .and_then(|slots| slots.get_mut(..count))
            .ok_or(ENOSPC)?;
        let pinned = how.pin(start & PAGE_MASK, slots, self.access)?;

        // INVARIANT: They have been pinned.
        self.len += pinned;
        if pinned == count {
            Ok(())
        } else {
            Err(EAGAIN)
        }
    }

    /// Marks all pages dirty, after they were written to.
    #[inline]
    pub fn mark_dirty(&self) {
        for index in 0..self.len {
            if let Some(page) = self.get(index) {
                page.mark_dirty();
            }
        }
    }

    /// Unpins all pages.
    #[inline]
    pub fn unpin(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: By the type invariants all of these pages are pinned.
        unsafe { bindings::unpin_user_pages(self.pages.as_mut_ptr().cast(), self.len) };
        // INVARIANT: None of zero.
        self.len = 0;
    }

    /// How many pages there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The page with number `index`, in the order in which they were pinned.
    #[inline]
    pub fn get(&self, index: usize) -> Option<PinnedPage<'_>> {
        let slot = self.pages.get(..self.len)?.get(index)?;

        // SAFETY: By the type invariants it is initialized.
        let page = unsafe { slot.assume_init() };
        // INVARIANT: It stays pinned while `self` is borrowed.
        Some(PinnedPage(page, PhantomData))
    }
}

impl Drop for PinnedPages<'_> {
    #[inline]
    fn drop(&mut self) {
        self.unpin();
    }
}

/// How pages are pinned.
#[derive(Clone, Copy)]
enum How {
    /// If they can be had without a lock.
    Present,
    /// If they are mapped. The mmap lock is held.
    Mapped,
    /// After they were faulted in.
    FaultIn,
}

impl How {
    /// Pins pages from `start` until `slots` is full or it fails. Returns how many.
    #[inline]
    fn pin(self, start: usize, slots: &mut [Slot], access: Access) -> Result<usize> {
        if slots.is_empty() || current!().mm().is_none() {
            return Err(EFAULT);
        }
        let count = c_int::try_from(slots.len())?;
        let slots = slots.as_mut_ptr().cast();
        let flags = access.flags();

        // SAFETY: There is user memory, and `slots` has room for so many pages, at least one.
        let pinned = unsafe {
            match self {
                Self::Present => {
                    bindings::pin_user_pages_fast_only(start, count, flags, slots) as isize
                }
                Self::Mapped => {
                    let flags = flags | bindings::FOLL_NOFAULT;

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
    /// Not so for anonymous memory, tmpfs and hugetlbfs. A page that has just been truncated counts as
    /// one of an unknown file.
    #[inline]
    pub fn tracks_dirty(self) -> bool {
        // SAFETY: By the type invariant the page is valid.
        !self.is_anonymous() && unsafe { bindings::page_tracks_dirty(self.0) }
    }

    /// Has its content written to swap before it is reclaimed. Nothing for pages that
    /// [track that](Self::tracks_dirty).
    #[inline]
    fn mark_dirty(self) {
        if !self.tracks_dirty() {
            // SAFETY: By the type invariant the page is valid.
            unsafe { bindings::page_mark_dirty(self.0) };
        }
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
