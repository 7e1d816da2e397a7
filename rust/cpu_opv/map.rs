// SPDX-License-Identifier: GPL-2.0

//! Operands at addresses of the kernel.
//!
//! They are where the kernel has their pages mapped anyway. Those that cross pages have a second
//! page somewhere else, or all of these come together in one contiguous mapping, if there is a
//! permit for that.

use crate::{
    abi::{
        OPERANDS_MAX,
        PAGES_MAX, //
    },
    array_vec::ArrayVec,
    budget::Permit,
    op::Op,
    pages::Pinned,
    plan::Operand,
    stats::{
        self,
        Stat, //
    },
    way::{
        self,
        Operands, //
    },
};
use core::ptr::NonNull;
use kernel::{
    mm::{
        mc::{
            self,
            Poisoned, //
        },
        vmap::VmapRam, //
    },
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*, //
};

/// The address of an operand in the kernel, at the same distance from a page boundary as in user
/// memory: `start`, and `rest` from its second page on, if that is somewhere else. An operand of no
/// bytes is nowhere.
#[derive(Clone, Copy)]
pub(crate) struct Mapped {
    start: NonNull<u8>,
    rest: Option<NonNull<u8>>,
}

impl Mapped {
    /// An operand of no bytes.
    const NOWHERE: Self = Self::new(NonNull::dangling(), None);

    /// An operand at `start`, and at `rest` from its second page on.
    #[inline]
    pub(crate) const fn new(start: NonNull<u8>, rest: Option<NonNull<u8>>) -> Self {
        Self { start, rest }
    }

    /// Its first byte.
    #[inline]
    pub(crate) fn as_ptr(self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// How many bytes are contiguous from the start on; maybe more than it has.
    #[inline]
    pub(crate) fn contiguous(self) -> usize {
        if self.rest.is_some() {
            PAGE_SIZE - (self.start.addr().get() & !PAGE_MASK)
        } else {
            usize::MAX
        }
    }

    /// Its byte number `n`.
    #[inline]
    pub(crate) fn at(self, n: usize) -> *mut u8 {
        match self.rest {
            Some(rest) if n >= self.contiguous() => {
                rest.as_ptr().wrapping_add(n - self.contiguous())
            }
            _ => self.as_ptr().wrapping_add(n),
        }
    }

    /// Has the CPU load the operand, of `len` bytes, into its caches, so that the section with
    /// interrupts off does not wait for memory. Of words, that is their first byte.
    ///
    /// # Safety
    ///
    /// It must be mapped there.
    ///
    /// # Errors
    ///
    /// [`Poisoned`], before anything has happened.
    #[inline(always)]
    unsafe fn touch(self, len: u16) -> Result<(), Poisoned> {
        const LINE: usize = 64;
        const WORD: u16 = 8;

        /// From the end on, `len` bytes that are contiguous and not none.
        ///
        /// # Safety
        ///
        /// They must be mapped.
        unsafe fn touch_lines(start: *mut u8, len: usize) -> Result<(), Poisoned> {
            let mut at = len - 1;

            loop {
                // SAFETY: By the safety requirements of `touch()`.
                unsafe { mc::load_u8(start.wrapping_add(at))? };
                if at < LINE {
                    return Ok(());
                }
                at -= LINE;
            }
        }

        /// # Safety
        ///
        /// As for `touch()`.
        #[inline(never)]
        unsafe fn touch_rest(operand: Mapped, len: usize) -> Result<(), Poisoned> {
            let first = len.min(operand.contiguous());

            // SAFETY: By the safety requirements of `touch()`.
            unsafe { touch_lines(operand.as_ptr(), first)? };
            if first < len {
                // SAFETY: As above.
                unsafe { touch_lines(operand.at(first), len - first)? };
            }
            Ok(())
        }

        if len > 0 {
            // SAFETY: By the safety requirements.
            unsafe { mc::load_u8(self.as_ptr())? };
        }
        if len > WORD {
            // SAFETY: As above.
            unsafe { touch_rest(self, len.into())? };
        }
        Ok(())
    }
}

/// Operations on operands at addresses of the kernel.
///
/// # Invariants
///
/// `operands` are those of `ops`, in order: as many as each has, aligned if it says so. All bytes of
/// each, of the length that the operation says, are mapped where [`Mapped`] says, in pages that are
/// pinned for the access of the operation, for `'p`. Others may access them at the same time.
#[derive(Clone, Copy)]
pub(crate) struct MappedVector<'p> {
    ops: &'p [Op],
    operands: &'p [Mapped],
}

// SAFETY: The mapping is there for all tasks and CPUs.
unsafe impl Send for MappedVector<'_> {}

// SAFETY: As above.
unsafe impl Sync for MappedVector<'_> {}

impl<'p> MappedVector<'p> {
    /// `ops` on `operands`.
    ///
    /// # Safety
    ///
    /// The type invariant has to hold.
    #[inline]
    pub(crate) unsafe fn new(ops: &'p [Op], operands: &'p [Mapped]) -> Self {
        // INVARIANT: By the safety requirements.
        Self { ops, operands }
    }

    #[inline]
    pub(crate) fn ops(&self) -> &'p [Op] {
        self.ops
    }

    #[inline]
    pub(crate) fn operands(&self) -> &'p [Mapped] {
        self.operands
    }
}

/// Room for the operands of a vector.
pub(crate) type MappedOperands = ArrayVec<Mapped, OPERANDS_MAX>;

/// Where the operands of a vector are mapped.
pub(crate) struct Mapping<'p> {
    pinned: Pinned<'p>,
    /// Of those that cross pages.
    contiguous: Option<Contiguous<'p>>,
}

impl<'p> Mapping<'p> {
    /// Maps the operands of the pinned pages that cross pages, if there is a permit and memory for
    /// that. May sleep.
    #[inline]
    pub(crate) fn new(pinned: Pinned<'p>) -> Self {
        let contiguous = if pinned.plan().crossing() {
            Contiguous::new(pinned)
        } else {
            None
        };

        Self { pinned, contiguous }
    }

    /// The pages that are mapped.
    #[inline]
    pub(crate) fn pages(&self) -> Pinned<'p> {
        self.pinned
    }

    /// How operands are reached.
    #[inline]
    pub(crate) fn operands(&self) -> Operands {
        let crossing = self.pinned.plan().crossing();

        way::operands(false, false, crossing, self.contiguous.is_some())
    }

    /// Puts the addresses of all operands to `room`, and loads them into the caches.
    ///
    /// # Errors
    ///
    /// Some of the memory is poisoned.
    #[inline]
    pub(crate) fn resolve<'m>(&'m self, room: &'m mut MappedOperands) -> Result<MappedVector<'m>> {
        let plan = self.pinned.plan();
        let mut pages = 0;

        room.set_map(plan.operands(), |operand| {
            let mapped = self.find(operand, &mut pages).ok_or(EFAULT)?;

            // SAFETY: It is mapped while `self` is borrowed.
            unsafe { mapped.touch(operand.len)? };
            Ok(mapped)
        })?;
        // SAFETY: By the invariants of the plan, and each is mapped where `find()` says while `self` is
        // borrowed.
        Ok(unsafe { MappedVector::new(plan.ops(), room) })
    }

    /// The address of an operand; those before it took the first `pages` of the contiguous mapping.
    /// `None` if it is not mapped, which cannot be.
    #[inline(always)]
    fn find(&self, operand: &Operand, pages: &mut usize) -> Option<Mapped> {
        if operand.len == 0 {
            return Some(Mapped::NOWHERE);
        }
        let mut rest = None;
        let start = if !operand.pages.crosses() {
            self.pinned.address(operand.pages.first)?
        } else if let Some(contiguous) = &self.contiguous {
            contiguous.take(pages)?
        } else {
            rest = Some(NonNull::new(self.pinned.address(operand.pages.last)?)?);
            self.pinned.address(operand.pages.first)?
        };
        let start = NonNull::new(start.wrapping_add(operand.offset.into()))?;

        Some(Mapped::new(start, rest))
    }
}

/// The pages of operands that cross pages, mapped one after the other.
struct Contiguous<'p> {
    map: VmapRam<'p>,
    pages: usize,
    // Dropped after the mapping.
    _permit: Permit,
}

impl<'p> Contiguous<'p> {
    /// Maps operands that cross pages.
    #[inline(never)]
    fn new(pinned: Pinned<'p>) -> Option<Self> {
        let permit = Permit::get()?;
        let crossing = |operand: &&Operand| operand.pages.crosses();
        let mut by_number = KVec::with_capacity(PAGES_MAX, GFP_KERNEL).ok()?;
        for page in pinned.pages() {
            by_number.push(page?, GFP_KERNEL).ok()?;
        }
        let mut pages = KVec::with_capacity(PAGES_MAX, GFP_KERNEL).ok()?;
        for operand in pinned.plan().operands().iter().filter(crossing) {
            for number in operand.pages.numbers() {
                let page = by_number.get(usize::from(number))?;

                pages.push(*page, GFP_KERNEL).ok()?;
            }
        }
        let map = VmapRam::new(&pages).ok()?;
        stats::add(Stat::VmapNow, 1);
        Some(Self {
            map,
            pages: pages.len(),
            _permit: permit,
        })
    }

    /// The address of the pages of an operand, which come after the first `pages` that operands before
    /// it took.
    #[inline(never)]
    fn take(&self, pages: &mut usize) -> Option<*mut u8> {
        let start = *pages * PAGE_SIZE;

        *pages += 2;
        (*pages <= self.pages).then(|| self.map.as_ptr().wrapping_byte_add(start).cast())
    }
}

impl Drop for Contiguous<'_> {
    #[inline]
    fn drop(&mut self) {
        stats::sub(Stat::VmapNow, 1);
    }
}
