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
    slots: [Slot; PAGES_MAX],
    addresses: ArrayVec<*mut u8, PAGES_MAX>,
}

impl Room {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const { Slot::uninit() }; PAGES_MAX],
            addresses: ArrayVec::new(),
        }
    }
}

/// The pages of a vector.
pub(crate) struct Pages<'a> {
    plan: &'a Plan,
    written: PinnedPages<'a>,
    read: PinnedPages<'a>,
    /// The address of each page, by its number in the plan.
    addresses: &'a mut ArrayVec<*mut u8, PAGES_MAX>,
}

impl<'a> Pages<'a> {
    /// The pages of `plan`, not pinned yet.
    #[inline(always)]
    pub(crate) fn new(plan: &'a Plan, room: &'a mut Room) -> Self {
        let writes = plan.writes().iter().filter(|&&write| write).count();
        let (written, read) = room.slots.split_at_mut(writes.min(PAGES_MAX));

        Self {
            plan,
            written: PinnedPages::new(written, Access::Write),
            read: PinnedPages::new(read, Access::Read),
            addresses: &mut room.addresses,
        }
    }

    /// Pins all of them. May sleep; a fatal signal ends that.
    ///
    /// # Errors
    ///
    /// `EFAULT` if a page cannot be accessed as the plan wants; `ENOMEM`; `EINTR`.
    #[inline(always)]
    pub(crate) fn pin(&mut self) -> Result<Pinned<'_>> {
        for (start, count) in self.plan.runs(true) {
            pin(&mut self.written, start, count)?;
        }
        for (start, count) in self.plan.runs(false) {
            pin(&mut self.read, start, count)?;
        }
        self.locate()?;
        Ok(Pinned(self))
    }

    /// Notes where the pages of the plan are. Those that the process would copy when it writes to
    /// them are copied first.
    #[inline]
    fn locate(&mut self) -> Result {
        let (mut writes, mut reads) = (0, 0);

        self.addresses.set_map(self.plan.writes(), |&write| {
            // OVERFLOW: There are at most `PAGES_MAX` pages.
            let page = if write {
                writes += 1;
                self.written.get(writes - 1)
            } else {
                let addr = || self.plan.pages().nth(writes + reads).map(|page| page.addr);

                unshare(&mut self.read, reads, addr)?;
                reads += 1;
                self.read.get(reads - 1)
            };

            Ok(page.ok_or(EFAULT)?.address().cast())
        })
    }
}

impl Drop for Pages<'_> {
    #[inline]
    fn drop(&mut self) {
        stats::sub(Stat::PinnedNow, self.written.len() + self.read.len());
    }
}

/// The pages of a vector, pinned.
#[derive(Clone, Copy)]
pub(crate) struct Pinned<'a>(&'a Pages<'a>);

impl<'a> Pinned<'a> {
    /// The pages, in the order of the plan; `None` if one is not there, which cannot be.
    pub(crate) fn pages(self) -> impl Iterator<Item = Option<PinnedPage<'a>>> {
        let Self(Pages {
            plan,
            written,
            read,
            ..
        }) = self;
        let (mut writes, mut reads) = (0, 0);

        plan.writes().iter().map(move |&write| {
            // OVERFLOW: There are at most `PAGES_MAX` pages.
            if write {
                writes += 1;
                written.get(writes - 1)
            } else {
                reads += 1;
                read.get(reads - 1)
            }
        })
    }

    /// Where the kernel has the page mapped that has `number` in the plan.
    #[inline]
    pub(crate) fn address(self, number: u8) -> Option<*mut u8> {
        self.0.addresses.get(usize::from(number)).copied()
    }

    /// The plan that this follows.
    #[inline]
    pub(crate) fn plan(self) -> &'a Plan {
        self.0.plan
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
///
/// # Errors
///
/// Those of [`pin`]: that can be refused where the page may be read, because of the protection key
/// for instance. What another thread writes there would not be seen then.
#[inline]
fn unshare(read: &mut PinnedPages<'_>, index: usize, addr: impl Fn() -> Option<usize>) -> Result {
    if read.get(index).is_some_and(PinnedPage::is_anonymous) {
        return Ok(());
    }
    copy_on_write(read, index, addr().ok_or(EFAULT)?)
}

#[cold]
fn copy_on_write(read: &mut PinnedPages<'_>, index: usize, addr: usize) -> Result {
    if !copied_on_write(addr) {
        return Ok(());
    }
    read.copy_on_write(index, addr).map_err(error_of_operand)
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

/// Finds the error of a vector whose pages could not be pinned: that of the first operand which cannot
/// be accessed. `None` if all can now.
///
/// Pages are pinned once for all operands that lie in them, so a failure does not tell which.
#[cold]
pub(crate) fn find_error(vector: &[RawOp]) -> Option<Error> {
    vector
        .iter()
        .try_for_each(|raw| op::decode(raw, &mut AccessOnce))
        .err()
}

/// Accesses all operands.
struct AccessOnce;

impl Sink for AccessOnce {
    unsafe fn push<const N: usize>(&mut self, _: Op, operands: [User; N]) -> Result {
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

/// Whether an operand can be accessed now, as [`Pages::pin`] does.
fn access_once(operand: User) -> Result {
    let User { addr, write, .. } = operand;
    let Some(last) = usize::from(operand.len).checked_sub(1) else {
        let ok = UserPtr::from_addr(addr).access_ok(0);

        return ok.then_some(()).ok_or(EFAULT);
    };
    let start = addr & PAGE_MASK;
    let count = (addr.wrapping_add(last) & PAGE_MASK).wrapping_sub(start) / PAGE_SIZE + 1;

    let mut slots = [const { Slot::uninit() }; 2];
    let access = if write { Access::Write } else { Access::Read };
    let mut pages = PinnedPages::new(&mut slots, access);
    pages.pin(start, count).map_err(error_of_operand)?;
    if !write {
        for index in 0..count {
            // OVERFLOW: The pages are there.
            unshare(&mut pages, index, || Some(start + index * PAGE_SIZE))?;
        }
    }
    Ok(())
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
