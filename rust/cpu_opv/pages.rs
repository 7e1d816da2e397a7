// SPDX-License-Identifier: GPL-2.0

//! The pages of a vector, pinned.
//!
//! A program can have its page faults wait for as long as it likes. So no page is pinned while
//! another one is faulted in: all that are there are pinned at once, and if one was not, all are
//! unpinned, each of them is [faulted in](crate::fault_in), and it is tried again.
//!
//! What is pinned stays what the process sees. A page that the process can write to is its own, or
//! shared by design, and so is an anonymous one that is pinned to be read: neither fork(2),
//! migration, swapping nor KSM changes that meanwhile. Others that are read in a writable private
//! mapping are copied before, lest a thread on the target CPU does that by writing to them. So
//! there is no need to look again on the target CPU.
//!
//! Pages of files whose file system tracks dirty pages are not written: writeback and truncation
//! would lose what comes by a pin.

use crate::{
    abi::PAGES_MAX,
    exec,
    fault_in::is_copied_on_write,
    op::Op,
    plan::{
        self,
        PagesOf,
        Plan, //
    },
    stats::{
        self,
        Stat, //
    },
};
use core::iter;
use kernel::{
    exclude::{
        Excluded,
        Section, //
    },
    mm::{
        mc::{
            self,
            Poisoned, //
        },
        pin::{
            Access,
            How,
            PinnedPage,
            PinnedPages,
            Slot, //
        },
    },
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*, //
};

/// A vector whose pages are pinned, on addresses of the kernel.
///
/// # Invariants
///
/// `pages` are those of `plan`, which is that of `ops` before they were mapped to where the pages
/// are.
pub(crate) struct Pinned<'a> {
    ops: &'a [Op],
    plan: &'a Plan,
    pages: Pages<'a>,
}

// SAFETY: The pages are pinned, and mapped, for all tasks and CPUs.
unsafe impl Sync for Pinned<'_> {}

impl<'a> Pinned<'a> {
    /// `ops`, of which `plan` is, on `pages`, which are pinned for that: [maps](Op::map) them.
    /// Loads the operands into the caches of this CPU.
    ///
    /// # Errors
    ///
    /// [`Poisoned`]: some of the memory is.
    #[inline(always)]
    pub(crate) fn new(
        ops: &'a mut [Op],
        plan: &'a Plan,
        pages: Pages<'a>,
    ) -> Result<Self, Poisoned> {
        let find = |addr: u64, len: u32, at: PagesOf| {
            // There are no pages for what is no address, and for no bytes.
            let Some(page) = pages.get(at.first) else {
                return Ok(None);
            };
            let start = page
                .address()
                .cast::<u8>()
                .wrapping_add(addr as usize & !PAGE_MASK);

            pages.touch(start, len as usize, at)?;
            Ok(Some(start))
        };

        for (op, &[a, b]) in iter::zip(&mut *ops, &*plan.operands) {
            let [first, second] = op.args();

            op.map([find(first, op.len(), a)?, find(second, op.len(), b)?]);
        }
        // INVARIANT: Mapped just now.
        Ok(Self { ops, plan, pages })
    }

    /// Finds the page that turned out to be poisoned, and
    /// [reports](kernel::mm::pin::PinnedPage::report_poison) it.
    #[cold]
    pub(crate) fn find_poison(&self) {
        for (op, at) in iter::zip(self.ops, &*self.plan.operands) {
            for (n, &at) in at.iter().enumerate() {
                let touch = || self.pages.touch(op.mapped(n), op.len() as usize, at);

                if at != PagesOf::NONE && touch().is_err() {
                    return;
                }
            }
        }
    }

    /// Notes that the pages have been written to.
    #[inline]
    pub(crate) fn mark_dirty(&self) {
        for page in plan::numbers(self.plan.written).filter_map(|number| self.pages.get(number)) {
            page.mark_dirty();
        }
    }
}

// SAFETY: Accesses kernel memory that is mapped, as far as hardware lets it.
unsafe impl Section for Pinned<'_> {
    type Output = Result<c_int, Poisoned>;

    #[inline]
    fn run(&self, _: &Excluded) -> Self::Output {
        let rest = |index: usize, n: usize| {
            let at = self.plan.operands.get(index)?.get(n)?;

            self.pages.rest(*at)
        };

        // SAFETY: By the type invariants.
        stats::time_section(|| unsafe { exec::run(self.ops, rest) })
    }
}

/// Pages, counted while they are pinned.
pub(crate) struct Pages<'a>(PinnedPages<'a>);

impl<'a> Pages<'a> {
    /// Pins the pages at the addresses in `slots`, of which those are written whose bits are set in
    /// `written`. Does not sleep.
    ///
    /// # Errors
    ///
    /// That one has to be faulted in, must not be written or, before it is read, has to be copied,
    /// or cannot be pinned.
    #[inline(never)]
    pub(crate) fn pin(slots: &'a mut [Slot], written: u64, how: How<'_>) -> Result<Self> {
        let mut pages = Self(PinnedPages::new(slots));

        while !pages.0.is_complete() {
            // Most that are only read can be written, too: these are pinned together. Not by the
            // way that marks pages dirty for that.
            if matches!(how, How::Present) && pages.pin_next(how, Access::Write, PAGES_MAX).is_ok()
            {
                continue;
            }
            // The next ones that are only read, or one that is written.
            match plan::clear_from(written, pages.0.pinned().len()) {
                0 => pages.pin_next(how, Access::Write, 1)?,
                count => pages.pin_to_read(how, count)?,
            }
        }
        if plan::numbers(written)
            .filter_map(|number| pages.get(number))
            .any(|page| page.tracks_dirty())
        {
            return Err(EAGAIN);
        }
        Ok(pages)
    }

    /// Pins up to `count` of the next pages to read them.
    #[inline(never)]
    fn pin_to_read(&mut self, how: How<'_>, count: usize) -> Result {
        let start = self.0.next_address().ok_or(EAGAIN)?;
        let before = self.0.pinned().len();

        self.pin_next(how, Access::Read, count)?;
        for (i, page) in self.0.pinned().iter().skip(before).enumerate() {
            // They follow one another.
            let addr = start.wrapping_add(i * PAGE_SIZE);

            if !page.is_anonymous() && is_copied_on_write(addr, how) != Some(false) {
                return Err(EAGAIN);
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn pin_next(&mut self, how: How<'_>, access: Access, max: usize) -> Result {
        let Self(pages) = self;
        let before = pages.pinned().len();
        let result = pages.pin(how, access, max);
        let pinned = pages.pinned().len() - before;

        stats::add(Stat::PagesPinned, pinned);
        stats::add(Stat::PinnedNow, pinned);
        result
    }

    /// The page `number`.
    #[inline(always)]
    fn get(&self, number: u8) -> Option<PinnedPage<'_>> {
        self.0.pinned().get(usize::from(number)).copied()
    }

    /// Has this CPU load an operand of `len` bytes, not none, at `start`, into its caches, so that
    /// the section with interrupts off does not wait for memory. Its pages are `at`.
    ///
    /// # Errors
    ///
    /// [`Poisoned`]; the page has been [reported](kernel::mm::pin::PinnedPage::report_poison).
    #[inline(always)]
    fn touch(&self, start: *mut u8, len: usize, at: PagesOf) -> Result<(), Poisoned> {
        let Some(rest) = self.rest(at) else {
            // SAFETY: It is mapped, and in one page.
            return unsafe { mc::touch(start, len) }.inspect_err(|_| self.report_poison(at.first));
        };
        let first = PAGE_SIZE - (start.addr() & !PAGE_MASK);

        // SAFETY: Both pages are mapped, and it has bytes in both.
        unsafe {
            mc::touch(start, first).inspect_err(|_| self.report_poison(at.first))?;
            mc::touch(rest, len - first).inspect_err(|_| self.report_poison(at.last))
        }
    }

    #[cold]
    fn report_poison(&self, number: u8) {
        if let Some(page) = self.get(number) {
            page.report_poison();
        }
    }

    /// Where the second page of an operand is, if it has one.
    #[inline(always)]
    fn rest(&self, at: PagesOf) -> Option<*mut u8> {
        if !at.crosses() {
            return None;
        }
        Some(self.get(at.last)?.address().cast())
    }
}

impl Drop for Pages<'_> {
    #[inline]
    fn drop(&mut self) {
        stats::sub(Stat::PinnedNow, self.0.pinned().len());
    }
}
