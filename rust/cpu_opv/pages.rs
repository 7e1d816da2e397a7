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
    array_vec::ArrayVec,
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

/// Room for the pages of a vector: large, so it stays where it is.
pub(crate) struct Room {
    slots: [Slot; PAGES_MAX],
    /// The address and the place of each page, by its number in the plan.
    pages: ArrayVec<(*mut u8, u8), PAGES_MAX>,
}

impl Room {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const { Slot::uninit() }; PAGES_MAX],
            pages: ArrayVec::new(),
        }
    }
}

/// The pages of a vector, pinned.
pub(crate) struct Pinned<'a> {
    plan: &'a Plan,
    written: PinnedPages<'a>,
    read: PinnedPages<'a>,
    /// The address and the place of each page, by its number in the plan.
    pages: &'a mut ArrayVec<(*mut u8, u8), PAGES_MAX>,
}

impl<'a> Pinned<'a> {
    /// None of the pages of `plan` yet, of which as many as `plan` has fit in `room`.
    #[inline(always)]
    pub(crate) fn new(plan: &'a Plan, room: &'a mut Room) -> Self {
        let writes = plan.pages().iter().filter(|page| page.write).count();
        let (slots, rest) = room.slots.split_at_mut(writes.min(PAGES_MAX));

        Self {
            plan,
            written: PinnedPages::new(slots, Access::Write),
            read: PinnedPages::new(rest, Access::Read),
            pages: &mut room.pages,
        }
    }

    /// Pins all pages of the plan. May sleep; a fatal signal ends that.
    ///
    /// # Errors
    ///
    /// `EFAULT` if a page cannot be accessed as the plan wants; `ENOMEM`; `EINTR`.
    #[inline]
    pub(crate) fn pin(&mut self) -> Result {
        for (start, count) in self.plan.runs(true) {
            pin(&mut self.written, start, count)?;
        }
        for (start, count) in self.plan.runs(false) {
            pin(&mut self.read, start, count)?;
        }
        self.locate().ok_or(EFAULT)?
    }

    /// Notes where the pages of the plan are. Those that the process would copy when it writes to
    /// them are copied first.
    #[inline]
    fn locate(&mut self) -> Option<Result> {
        let (mut writes, mut reads) = (0_u8, 0_u8);

        for page in self.plan.pages() {
            // OVERFLOW: There are at most `PAGES_MAX` pages.
            let (rank, pinned) = if page.write {
                let rank = writes;

                writes += 1;
                (rank, self.written.get(rank.into())?)
            } else {
                let rank = reads;

                reads += 1;
                if !self.read.get(rank.into())?.is_anonymous() {
                    if let Err(e) = unshare(&mut self.read, rank.into(), page.addr) {
                        return Some(Err(e));
                    }
                }
                (rank, self.read.get(rank.into())?)
            };

            self.pages.push((pinned.address().cast(), rank))?;
        }
        Some(Ok(()))
    }

    /// The page that has `number` in the plan.
    #[inline]
    pub(crate) fn page(&self, number: u8) -> Option<PinnedPage<'_>> {
        let (_, rank) = *self.pages.get(usize::from(number))?;

        if self.plan.pages().get(usize::from(number))?.write {
            self.written.get(rank.into())
        } else {
            self.read.get(rank.into())
        }
    }

    /// Where the kernel has that page mapped.
    #[inline]
    pub(crate) fn address(&self, number: u8) -> Option<*mut u8> {
        self.pages
            .get(usize::from(number))
            .map(|&(address, _)| address)
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

/// Has the process get its own copy of page `index` of `read`, which is at `addr`, if it would when it
/// writes to it.
#[cold]
fn unshare(read: &mut PinnedPages<'_>, index: usize, addr: usize) -> Result {
    if copied_on_write(addr) {
        read.copy_on_write(index, addr)?;
    }
    Ok(())
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
    // It was changed in the meantime.
    let mut error = EAGAIN;
    let mut check = |User { addr, expect_fault }, len, write| {
        let access = if write { Access::Write } else { Access::Read };

        match access_once(addr, len, access) {
            Ok(()) => Some(()),
            Err(e) => {
                error = if e == EFAULT && expect_fault {
                    EAGAIN
                } else {
                    e
                };
                None
            }
        }
    };

    ops.iter().try_for_each(|op| op.try_for_each(&mut check));
    error
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
