// SPDX-License-Identifier: GPL-2.0

//! Operands at addresses of the kernel.
//!
//! An operand in one page is where the kernel has that page mapped anyway. One that crosses pages
//! needs a contiguous mapping: all of these come together in one, under a permit.

use crate::{
    abi::PAGES_MAX,
    budget::Permit,
    op::{
        Op,
        User,
        Vector, //
    },
    pages::Pinned,
    plan::PagesOf,
    stats::{
        self,
        Stat, //
    },
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    mm::vmap::VmapRam,
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*, //
};

/// An operand at an address of the kernel.
///
/// # Invariants
///
/// All bytes of the operand are mapped there, at the same distance from a page boundary as in user
/// memory, in pages that are pinned for the access of the operation, for `'p`. Others may access
/// them at the same time. An operand of no bytes is nowhere.
#[derive(Clone, Copy)]
pub(crate) struct Mapped<'p>(NonNull<u8>, PhantomData<&'p Pinned<'p>>);

// SAFETY: The mapping is there for all tasks and CPUs.
unsafe impl Send for Mapped<'_> {}

// SAFETY: As above.
unsafe impl Sync for Mapped<'_> {}

impl Mapped<'_> {
    /// An operand at `ptr`.
    ///
    /// # Safety
    ///
    /// The type invariant has to hold.
    #[inline]
    pub(crate) unsafe fn new(ptr: NonNull<u8>) -> Self {
        // INVARIANT: By the safety requirements.
        Self(ptr, PhantomData)
    }

    #[inline]
    pub(crate) fn as_ptr(self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// Has the CPU load the operand, of `len` bytes, into its caches, so that the section with
    /// preemption off does not wait for memory.
    #[inline(always)]
    fn touch(self, len: usize) {
        const LINE: usize = 64;

        let mut at = 0;
        while at < len {
            // SAFETY: By the type invariant the byte is there.
            unsafe { self.as_ptr().add(at).read_volatile() };
            // OVERFLOW: Operands are not longer than a page.
            at += LINE;
        }
    }
}

/// The contiguous mapping of the operands of a vector that need one.
pub(crate) struct Mapping<'p> {
    map: VmapRam<'p>,
    pages: usize,
    operands: usize,
    // Dropped after the mapping.
    _permit: Permit,
}

impl<'p> Mapping<'p> {
    /// Maps the operands of the pinned pages that cross pages, or all of them if `force_vmap` is
    /// set; `None` if there are none. May sleep; a fatal signal ends that.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINTR` if the task was killed.
    #[inline]
    pub(crate) fn new(pinned: &'p Pinned<'_>) -> Result<Option<Self>> {
        if pinned.plan().operands().iter().copied().any(needs_mapping) {
            Self::map_operands(pinned).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The address of the pages of `operand`, which come after the first `pages` that operands before
    /// it took.
    #[inline(never)]
    fn take(&self, operand: PagesOf, pages: &mut usize) -> Option<*mut u8> {
        let start = *pages * PAGE_SIZE;

        *pages += operand.numbers().count();
        (*pages <= self.pages).then(|| self.map.as_ptr().wrapping_byte_add(start).cast())
    }

    #[inline(never)]
    fn map_operands(pinned: &'p Pinned<'_>) -> Result<Self> {
        let permit = Permit::get()?;
        let mut pages = KVec::new();
        let mut operands = 0;

        for operand in pinned.plan().operands() {
            if needs_mapping(*operand) {
                if pages.is_empty() {
                    pages.reserve(PAGES_MAX, GFP_KERNEL)?;
                }
                for number in operand.numbers() {
                    pages.push(pinned.page(number).ok_or(EFAULT)?, GFP_KERNEL)?;
                }
                operands += 1;
            }
        }
        let map = VmapRam::new(&pages)?;
        stats::add(Stat::Vmap, operands);
        stats::add(Stat::VmapNow, operands);
        Ok(Self {
            map,
            pages: pages.len(),
            operands,
            _permit: permit,
        })
    }
}

impl Drop for Mapping<'_> {
    #[inline]
    fn drop(&mut self) {
        stats::sub(Stat::VmapNow, self.operands);
    }
}

/// Whether an operand can only be accessed in a mapping of its own.
#[inline]
fn needs_mapping(operand: PagesOf) -> bool {
    // SAFETY: Never written after boot.
    operand.crosses() || unsafe { bindings::cpu_opv_force_vmap }
}

/// Appends `ops` to `mapped`, with their operands where they are in the kernel: `pinned` and `mapping`
/// were made for them. `None` if not.
#[inline]
pub(crate) fn resolve<'p>(
    ops: &[Op<User>],
    pinned: &'p Pinned<'_>,
    mapping: Option<&'p Mapping<'_>>,
    mapped: &mut Vector<Mapped<'p>>,
) -> Option<()> {
    let mut operands = pinned.plan().operands().iter();
    let mut mapped_pages = 0;

    let mut find = |User { addr, .. }, len| {
        let ptr = if len == 0 {
            NonNull::dangling()
        } else {
            let operand = *operands.next()?;
            let start = if !needs_mapping(operand) {
                pinned.address(operand.first)?
            } else {
                mapping?.take(operand, &mut mapped_pages)?
            };

            NonNull::new(start.wrapping_add(addr & !PAGE_MASK))?
        };

        // SAFETY: The page or the pages of the operand are mapped from `start` on, for as long as
        // `pinned` and `mapping` are borrowed.
        let operand = unsafe { Mapped::new(ptr) };
        operand.touch(len);
        Some(operand)
    };
    for op in ops {
        mapped.push(op.try_map(&mut find)?)?;
    }
    Some(())
}
