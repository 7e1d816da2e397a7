// SPDX-License-Identifier: GPL-2.0

//! Contiguous kernel mappings of pages.
//!
//! C header: [`include/linux/vmalloc.h`](srctree/include/linux/vmalloc.h)

use crate::{
    alloc::AllocError,
    bindings,
    ffi::{
        c_uint,
        c_void, //
    },
    mm::pin::PinnedPage,
    prelude::*, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// Pages mapped one after the other, in kernel address space, for a short time.
///
/// Dropping it does not flush the TLBs of all CPUs; that happens now and then, for many mappings at
/// once. May sleep, when created and when dropped.
///
/// # Invariants
///
/// `addr` is the start of a mapping of `count` pages by `vm_map_ram()`, and these are pinned for
/// `'p`.
pub struct VmapRam<'p> {
    addr: NonNull<c_void>,
    count: c_uint,
    _pages: PhantomData<PinnedPage<'p>>,
}

impl<'p> VmapRam<'p> {
    /// Maps `pages`.
    ///
    /// # Errors
    ///
    /// There are no pages, or not enough memory or address space.
    pub fn new(pages: &[PinnedPage<'p>]) -> Result<Self, AllocError> {
        let count = c_uint::try_from(pages.len()).map_err(|_| AllocError)?;
        if count == 0 {
            return Err(AllocError);
        }
        // CAST: A `PinnedPage` is the pointer.
        let array = pages.as_ptr().cast_mut().cast();
        // SAFETY: `array` has `count` pointers to pages, and is only read.
        let addr = unsafe { bindings::vm_map_ram(array, count, bindings::NUMA_NO_NODE) };

        // INVARIANT: The pages are pinned for `'p`.
        Ok(Self {
            addr: NonNull::new(addr).ok_or(AllocError)?,
            count,
            _pages: PhantomData,
        })
    }

    /// Where the first page is mapped.
    ///
    /// User space, other CPUs and devices may access the pages at the same time.
    #[inline]
    pub fn as_ptr(&self) -> *mut c_void {
        self.addr.as_ptr()
    }
}

impl Drop for VmapRam<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants there is such a mapping.
        unsafe { bindings::vm_unmap_ram(self.addr.as_ptr(), self.count) };
    }
}
