// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#![doc = include_str!("../README.md")]

mod cache;
mod central;
mod class;
mod heap;
mod lock;
mod mode;
mod os;
#[cfg(feature = "preload")]
mod preload;
mod reclaim;
mod segment;

use core::alloc::{GlobalAlloc, Layout};

/// The allocator, for `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerCpuMalloc;

impl PerCpuMalloc {
    /// Starts the thread that takes back what caches have that nobody uses. Once is enough; does
    /// nothing on kernels without cpu_opv(2).
    pub fn start_reclaim() {
        reclaim::start(libc::pthread_create);
    }

    /// Takes back what all caches have, of whatever CPU. Answers how many bytes.
    pub fn trim() -> usize {
        reclaim::all()
    }

    /// How many bytes caches have that are free.
    pub fn cached() -> usize {
        reclaim::cached()
    }
}

// SAFETY: Blocks are as large and aligned as asked for, and nobody else's.
unsafe impl GlobalAlloc for PerCpuMalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        heap::alloc_aligned(layout.size(), layout.align()) as *mut u8
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: By contract.
        unsafe { heap::free(block as usize) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            return heap::alloc_zeroed(layout.size()) as *mut u8;
        }
        let block = heap::alloc_aligned(layout.size(), layout.align()) as *mut u8;
        if !block.is_null() {
            // SAFETY: The block is ours.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= 16 {
            // SAFETY: By contract.
            return unsafe { heap::realloc(block as usize, size) as *mut u8 };
        }
        let new = heap::alloc_aligned(size, layout.align()) as *mut u8;
        if !new.is_null() {
            // SAFETY: By contract, and both have that length.
            unsafe {
                new.copy_from_nonoverlapping(block, layout.size().min(size));
                heap::free(block as usize);
            }
        }
        new
    }
}
