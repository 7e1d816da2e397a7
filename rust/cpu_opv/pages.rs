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
    abi::{
        RawOp,
        PAGES_MAX, //
    },
    array_vec::ArrayVec,
    op::{
        self,
        Op,
        Sink,
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
    written: [Slot; PAGES_MAX],
    read: [Slot; PAGES_MAX],
    /// The address and the place of each page, by its number in the plan.
    pages: ArrayVec<(*mut u8, u8), PAGES_MAX>,
}

impl Room {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self {
            written: [const { Slot::uninit() }; PAGES_MAX],
            read: [const { Slot::uninit() }; PAGES_MAX],
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
        Self {
            plan,
            written: PinnedPages::new(&mut room.written, Access::Write),
            read: PinnedPages::new(&mut room.read, Access::Read),
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
        self.locate()
    }

    /// Notes where the pages of the plan are. Those that the process would copy when it writes to
    /// them are copied first.
    #[inline]
    fn locate(&mut self) -> Result {
        let (mut writes, mut reads) = (0_u8, 0_u8);

        self.pages.extend_map(self.plan.pages(), |page| {
            // OVERFLOW: There are at most `PAGES_MAX` pages.
            let (rank, pinned) = if page.write {
                let rank = writes;

                writes += 1;
                (rank, self.written.get(rank.into()))
            } else {
                let rank = reads;

                reads += 1;
                unshare(&mut self.read, rank.into(), page.addr)?;
                (rank, self.read.get(rank.into()))
            };

            Ok((pinned.ok_or(EFAULT)?.address().cast(), rank))
        })
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
    result.map_err(error_of_operand)
}

/// Has the process get its own copy of page `index` of `read`, which is at `addr`, if it would when it
/// writes to it.
#[inline]
fn unshare(read: &mut PinnedPages<'_>, index: usize, addr: usize) -> Result {
    let own = |page: PinnedPage<'_>| page.is_anonymous();

    if !read.get(index).is_some_and(own) && copied_on_write(addr) {
        read.copy_on_write(index, addr)?;
    }
    Ok(())
}

/// Whether what the process writes at `addr` goes to a copy of the page that is there.
///
/// If nothing is mapped there any more, the process is changing its memory under the call; then it
/// does not matter.
#[cold]
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

/// Finds the error of a vector of which some page cannot be accessed: that of the first operand which
/// cannot.
///
/// Pages are pinned once for all operands that lie in them, so a failure does not tell which.
#[cold]
pub(crate) fn find_error(vector: &[RawOp]) -> Error {
    vector
        .iter()
        .try_for_each(|raw| op::decode(raw, &mut AccessOnce))
        .err()
        // It was changed in the meantime.
        .unwrap_or(EAGAIN)
}

/// Accesses all operands.
struct AccessOnce;

impl Sink for AccessOnce {
    fn push<const N: usize>(&mut self, _: Op, operands: [User; N]) -> Result {
        for operand in operands {
            access_once(operand).map_err(|e| {
                if e == EFAULT && operand.expect_fault {
                    EAGAIN
                } else {
                    e
                }
            })?;
        }
        Ok(())
    }
}

/// Whether an operand can be accessed now.
fn access_once(operand: User) -> Result {
    let addr = operand.addr;
    let len = operand.len.into();
    if !UserPtr::from_addr(addr).access_ok(len) {
        return Err(EFAULT);
    }
    let Some(last) = len.checked_sub(1) else {
        return Ok(());
    };
    let start = addr & PAGE_MASK;
    let count = (addr.wrapping_add(last) & PAGE_MASK).wrapping_sub(start) / PAGE_SIZE + 1;

    let mut slots = [const { Slot::uninit() }; 2];
    let access = if operand.write {
        Access::Write
    } else {
        Access::Read
    };
    let result = PinnedPages::new(&mut slots, access).pin(start, count);
    result.map_err(error_of_operand)
}

/// The error of an operand whose pages could not be pinned because of `e`: whatever the reason is why
/// there is no memory, unless `e` is of no operand.
fn error_of_operand(e: Error) -> Error {
    if e == ENOMEM || e == EINTR || e == ERESTARTSYS {
        e
    } else {
        EFAULT
    }
}
