// SPDX-License-Identifier: GPL-2.0

//! Operands at addresses of the kernel.
//!
//! An operand in one page is where the kernel has that page mapped anyway. One that crosses pages
//! needs a contiguous mapping: all of these come together in one, under a permit.

use crate::{
    abi::{
        OPERANDS_MAX,
        PAGES_MAX, //
    },
    array_vec::ArrayVec,
    budget::Permit,
    op::Op,
    pages::Pinned,
    plan::{
        Operand,
        PagesOf, //
    },
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
    page::PAGE_SIZE,
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
    /// An operand of no bytes.
    // INVARIANT: Allowed for such.
    const NOWHERE: Self = Self(NonNull::dangling(), PhantomData);

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
    /// preemption off does not wait for memory. Of words, that is their first byte.
    #[inline(always)]
    fn touch(self, len: u16) {
        const LINE: u16 = 64;
        const WORD: u16 = 8;

        #[inline(never)]
        fn touch_rest(operand: Mapped<'_>, len: u16) {
            let mut at = len - 1;

            loop {
                // SAFETY: By the type invariant the byte is there.
                unsafe { operand.as_ptr().add(at.into()).read_volatile() };
                if at < LINE {
                    break;
                }
                at -= LINE;
            }
        }

        if len > 0 {
            // SAFETY: As above.
            unsafe { self.as_ptr().read_volatile() };
        }
        if len > WORD {
            touch_rest(self, len);
        }
    }
}

/// Operations on operands at addresses of the kernel.
///
/// # Invariants
///
/// `operands` are those of `ops`, in order: as many as each has, of the length that it says, and
/// aligned if it says so.
#[derive(Clone, Copy)]
pub(crate) struct MappedVector<'p> {
    ops: &'p [Op],
    operands: &'p [Mapped<'p>],
}

impl<'p> MappedVector<'p> {
    /// No operations.
    // INVARIANT: None of either.
    pub(crate) const EMPTY: Self = Self {
        ops: &[],
        operands: &[],
    };

    /// `ops` on `operands`.
    ///
    /// # Safety
    ///
    /// The type invariant has to hold.
    #[inline]
    pub(crate) unsafe fn new(ops: &'p [Op], operands: &'p [Mapped<'p>]) -> Self {
        // INVARIANT: By the safety requirements.
        Self { ops, operands }
    }

    #[inline]
    pub(crate) fn ops(&self) -> &'p [Op] {
        self.ops
    }

    #[inline]
    pub(crate) fn operands(&self) -> &'p [Mapped<'p>] {
        self.operands
    }
}

/// Where the operands of a vector are mapped.
pub(crate) struct Mapping<'p> {
    pinned: Pinned<'p>,
    /// If there are operands that need it.
    contiguous: Option<Contiguous<'p>>,
}

impl<'p> Mapping<'p> {
    /// Maps the operands of the pinned pages that cross pages, or all of them if `force_vmap` is
    /// set. May sleep; a fatal signal ends that.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINTR` if the task was killed.
    #[inline]
    pub(crate) fn new(pinned: Pinned<'p>) -> Result<Self> {
        // SAFETY: Never written after boot.
        let all = unsafe { bindings::cpu_opv_force_vmap };
        let contiguous = if pinned.plan().crossing() || all {
            Contiguous::new(pinned, all)?
        } else {
            None
        };

        Ok(Self { pinned, contiguous })
    }

    /// Puts the addresses of all operands to `room`, and loads them into the caches.
    ///
    /// # Errors
    ///
    /// `EFAULT` if one is not mapped, which cannot be.
    #[inline]
    pub(crate) fn resolve(&'p self, room: &'p mut MappedOperands<'p>) -> Result<MappedVector<'p>> {
        let plan = self.pinned.plan();
        let mut pages = 0;

        room.set_map(plan.operands(), |operand| {
            self.find(operand, &mut pages).ok_or(EFAULT)
        })?;
        // SAFETY: By the invariants of the plan, and each is where `find()` says.
        Ok(unsafe { MappedVector::new(plan.ops(), room) })
    }

    /// The address of an operand; those before it took the first `pages` of the contiguous mapping.
    #[inline(always)]
    fn find(&self, operand: &Operand, pages: &mut usize) -> Option<Mapped<'_>> {
        if operand.len == 0 {
            return Some(Mapped::NOWHERE);
        }
        let start = match &self.contiguous {
            Some(contiguous) if operand.pages.crosses() || contiguous.all => {
                contiguous.take(operand.pages, pages)?
            }
            // Without such a mapping, none crosses pages.
            _ => self.pinned.address(operand.pages.first)?,
        };
        let ptr = NonNull::new(start.wrapping_add(operand.offset.into()))?;

        // SAFETY: The page or the pages of the operand are mapped from `start` on, for as long as
        // `self` is borrowed.
        let mapped = unsafe { Mapped::new(ptr) };
        mapped.touch(operand.len);
        Some(mapped)
    }
}

/// Room for the operands of a vector.
pub(crate) type MappedOperands<'p> = ArrayVec<Mapped<'p>, OPERANDS_MAX>;

/// Pages of operands, mapped one after the other.
struct Contiguous<'p> {
    map: VmapRam<'p>,
    pages: usize,
    operands: usize,
    /// Of all operands, not only those that cross pages.
    all: bool,
    // Dropped after the mapping.
    _permit: Permit,
}

impl<'p> Contiguous<'p> {
    /// Maps operands that cross pages, or all of them; `None` if there are none.
    #[inline(never)]
    fn new(pinned: Pinned<'p>, all: bool) -> Result<Option<Self>> {
        let needs = |operand: &&Operand| operand.len > 0 && (operand.pages.crosses() || all);
        let operands = pinned.plan().operands().iter().filter(needs).count();
        if operands == 0 {
            return Ok(None);
        }

        let permit = Permit::get()?;
        let mut by_number = KVec::with_capacity(PAGES_MAX, GFP_KERNEL)?;
        for page in pinned.pages() {
            by_number.push(page.ok_or(EFAULT)?, GFP_KERNEL)?;
        }
        let mut pages = KVec::with_capacity(PAGES_MAX, GFP_KERNEL)?;
        for operand in pinned.plan().operands().iter().filter(needs) {
            for number in operand.pages.numbers() {
                let page = by_number.get(usize::from(number)).ok_or(EFAULT)?;

                pages.push(*page, GFP_KERNEL)?;
            }
        }
        let map = VmapRam::new(&pages)?;
        stats::add(Stat::Vmap, operands);
        stats::add(Stat::VmapNow, operands);
        Ok(Some(Self {
            map,
            pages: pages.len(),
            operands,
            all,
            _permit: permit,
        }))
    }

    /// The address of the pages of an operand, which come after the first `pages` that operands before
    /// it took.
    #[inline(never)]
    fn take(&self, place: PagesOf, pages: &mut usize) -> Option<*mut u8> {
        let start = *pages * PAGE_SIZE;

        *pages += place.numbers().count();
        (*pages <= self.pages).then(|| self.map.as_ptr().wrapping_byte_add(start).cast())
    }
}

impl Drop for Contiguous<'_> {
    #[inline]
    fn drop(&mut self) {
        stats::sub(Stat::VmapNow, self.operands);
    }
}
