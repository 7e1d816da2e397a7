// SPDX-License-Identifier: GPL-2.0

//! The pages of a vector, pinned.
//!
//! Nothing is held meanwhile: a program can have its page faults wait for as long as it likes.
//!
//! What is pinned stays what the process sees. Pages to be written, and anonymous ones that are
//! read, are exclusive to the process, and neither fork(2), migration, swapping nor KSM changes
//! that while they are pinned. Others that are read in a writable private mapping are copied at
//! once, before a thread on the target CPU does that by writing to them. So there is no need to
//! look again on the target CPU.

use crate::{
    abi::PAGES_MAX,
    op::{
        Op,
        User, //
    },
    plan::Plan,
    stats::{
        self,
        Stat, //
    },
};
use kernel::{
    mm::{
        pin::{
            Access,
            PinnedPage,
            PinnedPages,
            Slot, //
        },
        virt::{
            flags,
            VmaRef, //
        },
    },
    page::{
        PAGE_MASK,
        PAGE_SIZE, //
    },
    prelude::*,
    uaccess::UserPtr, //
};

/// Room for the pages of a vector.
pub(crate) struct Slots([Slot; PAGES_MAX]);

impl Slots {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self([const { Slot::uninit() }; PAGES_MAX])
    }
}

/// The pages of a vector, pinned.
pub(crate) struct Pinned<'a> {
    plan: &'a Plan,
    written: PinnedPages<'a>,
    read: PinnedPages<'a>,
    /// Where page numbers of the plan are: an index of `written` or `read`.
    ranks: [u8; PAGES_MAX],
}

impl<'a> Pinned<'a> {
    /// Pins all pages of `plan`. May sleep; a fatal signal ends that.
    ///
    /// # Errors
    ///
    /// `EFAULT` if a page cannot be accessed as the plan wants; `ENOMEM`; `EINTR`.
    #[inline]
    pub(crate) fn new(plan: &'a Plan, slots: &'a mut Slots) -> Result<Self> {
        let mut ranks = [0; PAGES_MAX];
        let (mut writes, mut reads) = (0, 0);
        for (rank, page) in ranks.iter_mut().zip(plan.pages()) {
            let next = if page.write { &mut writes } else { &mut reads };

            *rank = *next;
            // OVERFLOW: There are at most `PAGES_MAX` pages.
            *next += 1;
        }
        let (slots, rest) = slots.0.split_at_mut_checked(writes.into()).ok_or(EINVAL)?;
        let mut this = Self {
            plan,
            written: PinnedPages::new(slots, Access::Write),
            read: PinnedPages::new(rest, Access::Read),
            ranks,
        };

        for (start, count) in plan.runs(true) {
            pin(&mut this.written, start, count)?;
        }
        for (start, count) in plan.runs(false) {
            pin(&mut this.read, start, count)?;
        }
        this.break_sharing()?;
        Ok(this)
    }

    /// Has the process get its own copy of pages that it would copy when it writes to them.
    #[inline]
    fn break_sharing(&mut self) -> Result {
        for index in 0..self.read.len() {
            if self
                .read
                .get(index)
                .is_some_and(|page| !page.is_anonymous())
            {
                self.break_sharing_of(index)?;
            }
        }
        Ok(())
    }

    #[cold]
    fn break_sharing_of(&mut self, index: usize) -> Result {
        let mut read = self.plan.pages().iter().filter(|page| !page.write);
        let addr = read.nth(index).ok_or(EINVAL)?.addr;

        if copied_on_write(addr) {
            self.read.copy_on_write(index, addr)?;
        }
        Ok(())
    }

    /// The page that has `number` in the plan.
    #[inline]
    pub(crate) fn page(&self, number: u8) -> Option<PinnedPage<'_>> {
        let number = usize::from(number);
        let rank = usize::from(*self.ranks.get(number)?);

        if self.plan.pages().get(number)?.write {
            self.written.get(rank)
        } else {
            self.read.get(rank)
        }
    }

    /// The plan that this follows.
    #[inline]
    pub(crate) fn plan(&self) -> &'a Plan {
        self.plan
    }
}

impl Drop for Pinned<'_> {
    #[inline]
    fn drop(&mut self) {
        stats::sub(Stat::PinnedNow, self.written.len() + self.read.len());
    }
}

/// Pins `count` pages from `start` on.
#[inline]
fn pin(pages: &mut PinnedPages<'_>, start: usize, count: usize) -> Result {
    let before = pages.len();
    let result = pages.pin(start, count);
    let pinned = pages.len() - before;

    stats::add(Stat::Pinned, pinned);
    stats::add(Stat::PinnedNow, pinned);
    result
}

/// Whether what the process writes at `addr` goes to a copy of the page that is there.
///
/// If nothing is mapped there any more, the process is changing its memory under the call; then it
/// does not matter.
fn copied_on_write(addr: usize) -> bool {
    let private = |vma: &VmaRef| vma.flags() & (flags::SHARED | flags::WRITE) == flags::WRITE;
    let current = current!();

    current.mm().is_some_and(|mm| {
        if let Some(vma) = mm.lock_vma_under_rcu(addr) {
            private(&vma)
        } else {
            mm.mmap_read_lock().vma_lookup(addr).is_some_and(private)
        }
    })
}

/// Finds the error of `ops`, of which some page cannot be accessed: that of the first operand which
/// cannot.
///
/// Pages are pinned once for all operands that lie in them, so a failure does not tell which.
#[cold]
pub(crate) fn find_error(ops: &[Op<User>]) -> Error {
    for operand in ops.iter().flat_map(Op::operands) {
        let User { addr, expect_fault } = operand.at;
        let access = if operand.write {
            Access::Write
        } else {
            Access::Read
        };

        match access_once(addr, operand.len, access) {
            Ok(()) => (),
            Err(e) if e == EFAULT && expect_fault => return EAGAIN,
            Err(e) => return e,
        }
    }
    // It was changed in the meantime.
    EAGAIN
}

/// Whether an operand in user memory can be accessed now.
fn access_once(addr: usize, len: usize, access: Access) -> Result {
    if !is_user(addr, len) {
        return Err(EFAULT);
    }
    let Some(last) = len.checked_sub(1) else {
        return Ok(());
    };
    let start = addr & PAGE_MASK;
    let count = (addr.wrapping_add(last) & PAGE_MASK).wrapping_sub(start) / PAGE_SIZE + 1;

    let mut slots = [const { Slot::uninit() }; 2];
    let result = PinnedPages::new(&mut slots, access).pin(start, count);
    // Whatever the reason is why there is no memory.
    match result {
        Err(e) if e != ENOMEM && e != EINTR && e != ERESTARTSYS => Err(EFAULT),
        result => result,
    }
}

/// Whether bytes can be of user memory.
#[inline]
pub(crate) fn is_user(addr: usize, len: usize) -> bool {
    UserPtr::from_addr(addr).access_ok(len)
}
