// SPDX-License-Identifier: GPL-2.0

//! Pinned pages of user memory.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    ffi::c_void,
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*, //
};
use core::{
    marker::PhantomData,
    mem::{
        swap,
        MaybeUninit, //
    },
    slice::from_mut, //
};

/// What pages are pinned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The pages are only read.
    ///
    /// A page that the process has for itself stays the one that it accesses. In a writable private
    /// mapping that may not be so for a page that it shares with others, the zero page or one of a
    /// file: what it writes later goes to a copy. See [`PinnedPages::copy_on_write`].
    Read,
    /// The pages are written, and marked dirty when they are unpinned.
    Write,
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
/// assert!(pages.pin(0, 1).is_err());
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

    /// Pins one page after the other, `count` of them from the one at the user address `start`.
    ///
    /// Faults them in. May sleep, for as long as user space likes: a fault handler can be there. A
    /// fatal signal ends that.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there is no room; `EFAULT` if a page is not mapped for that access, or of a
    /// kind that cannot be pinned, or if this is a kernel thread; `ENOMEM`; `EINTR` and the like
    /// if the task was killed. Pages before the one that failed stay pinned.
    pub fn pin(&mut self, start: usize, count: usize) -> Result {
        let mut start = start & PAGE_MASK;
        let mut slots = self
            .pages
            .get_mut(self.len..)
            .and_then(|slots| slots.get_mut(..count))
            .ok_or(ENOSPC)?;

        while !slots.is_empty() {
            let pinned = pin_fast(start, slots, self.access)?;

            // INVARIANT: They have been pinned.
            self.len += pinned;
            start = start.wrapping_add(pinned * PAGE_SIZE);
            slots = slots.get_mut(pinned..).unwrap_or_default();
        }
        Ok(())
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

    /// Replaces page `index`, at the user address `addr`, by one that the process has for itself.
    ///
    /// For pages pinned for reading, see [`Access::Read`]. The mapping has to be writable. May
    /// sleep.
    ///
    /// # Errors
    ///
    /// As [`pin`](Self::pin).
    pub fn copy_on_write(&mut self, index: usize, addr: usize) -> Result {
        let slot = self
            .pages
            .get_mut(..self.len)
            .and_then(|pages| pages.get_mut(index))
            .ok_or(EINVAL)?;
        let mut other = Slot::uninit();

        pin_fast(addr & PAGE_MASK, from_mut(&mut other), Access::Write)?;
        swap(slot, &mut other);
        // SAFETY: By the type invariants the page is pinned, and it is not in the set any more.
        unsafe { bindings::unpin_user_pages(other.as_mut_ptr(), 1) };
        Ok(())
    }
}

impl Drop for PinnedPages<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        let pages = self.pages.as_mut_ptr().cast();
        match self.access {
            // SAFETY: By the type invariants all of these pages are pinned.
            Access::Read => unsafe { bindings::unpin_user_pages(pages, self.len) },
            // SAFETY: As above; the task can sleep where it could pin pages.
            Access::Write => unsafe {
                bindings::unpin_user_pages_dirty_lock(pages, self.len, true)
            },
        }
    }
}

/// Pins pages from `start` until `slots` is full or it fails; at least one.
fn pin_fast(start: usize, slots: &mut [Slot], access: Access) -> Result<usize> {
    let flags = match access {
        Access::Read => 0,
        Access::Write => bindings::FOLL_WRITE,
    };
    let count = c_int::try_from(slots.len())?;
    let slots = slots.as_mut_ptr().cast();
    if current!().mm().is_none() {
        return Err(EFAULT);
    }

    // SAFETY: There is user memory, and `slots` has room for so many pages.
    match unsafe { bindings::pin_user_pages_fast(start, count, flags, slots) } {
        0 => Err(EFAULT),
        pinned => usize::try_from(pinned).map_err(|_| Error::from_errno(pinned)),
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
