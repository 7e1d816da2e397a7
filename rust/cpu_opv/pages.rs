// SPDX-License-Identifier: GPL-2.0

//! The pages of a vector, pinned.
//!
//! A program can have its page faults wait for as long as it likes. So no page is pinned while
//! another one is faulted in: all that are there are pinned at once, and if one was not, all are
//! unpinned, each of them is faulted in, and it is tried again.
//!
//! What is pinned stays what the process sees. Pages to be written, and anonymous ones that are
//! read, are exclusive to the process, and neither fork(2), migration, swapping nor KSM changes
//! that while they are pinned. Others that are read in a writable private mapping are copied
//! before, lest a thread on the target CPU does that by writing to them. So there is no need to
//! look again on the target CPU.
//!
//! Pages of files whose file system tracks dirty pages are not written: writeback and truncation
//! would lose what comes by a pin.

use crate::{
    abi::{
        RawOp,
        PAGES_MAX, //
    },
    array_vec::ArrayVec,
    cpu::killed,
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
use core::{
    convert::Infallible,
    mem::MaybeUninit, //
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
    page::PAGE_MASK,
    prelude::*, //
};
use pin_init::uninit;

/// How often pages are pinned, if others take them away again meanwhile.
const TRIES: usize = 16;

/// Room for the pages of a vector.
pub(crate) struct Room {
    slots: MaybeUninit<[Slot; PAGES_MAX]>,
    addresses: ArrayVec<*mut u8, PAGES_MAX>,
}

impl Room {
    pub(crate) fn new() -> impl Init<Self> {
        init!(Self {
            slots <- uninit::<_, Infallible>(),
            addresses <- ArrayVec::new(),
        })
    }
}

/// Why a vector does not run.
pub(crate) struct Failed {
    /// The operation that has the operand which is the reason, or the first one.
    pub(crate) index: usize,
    pub(crate) error: Error,
}

impl From<Error> for Failed {
    /// A reason that is no operand.
    fn from(error: Error) -> Self {
        Self { index: 0, error }
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
    #[inline]
    pub(crate) fn new(plan: &'a Plan, room: &'a mut Room) -> Self {
        // SAFETY: A `Slot` need not be initialized.
        let slots = unsafe { room.slots.assume_init_mut() };
        let writes = plan.writes().iter().filter(|&&write| write).count();
        let (written, read) = slots.split_at_mut(writes.min(PAGES_MAX));

        Self {
            plan,
            written: PinnedPages::new(written, Access::Write),
            read: PinnedPages::new(read, Access::Read),
            addresses: &mut room.addresses,
        }
    }

    /// Pins all of them, those of `vector`, which the plan is for. May sleep, for as long as user space
    /// likes, and holds none meanwhile; a fatal signal ends that.
    ///
    /// # Errors
    ///
    /// `EFAULT` if an operand cannot be accessed, or is in memory that cannot be pinned, or `EAGAIN`
    /// if it says so; `ENOMEM`; `EINTR`. `EAGAIN` if pages did not stay long enough again and again.
    #[inline]
    pub(crate) fn pin(&mut self, vector: &[RawOp]) -> Result<Pinned<'_>, Failed> {
        for _ in 0..TRIES {
            if self.pin_present().is_ok() {
                return Ok(Pinned(self));
            }
            self.unpin();
            fault_in(vector)?;
        }
        Err(EAGAIN.into())
    }

    #[inline]
    fn pin_present(&mut self) -> Result {
        for (start, count) in self.plan.runs(true) {
            pin(&mut self.written, start, count)?;
        }
        for (start, count) in self.plan.runs(false) {
            pin(&mut self.read, start, count)?;
        }
        self.locate()
    }

    /// Notes where the pages of the plan are.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if one must not be written or, before it is read, has to be copied.
    #[inline]
    fn locate(&mut self) -> Result {
        let (mut writes, mut reads) = (0, 0);

        self.addresses.set_map(self.plan.writes(), |&write| {
            // OVERFLOW: There are at most `PAGES_MAX` pages.
            let page = if write {
                writes += 1;
                self.written.get(writes - 1).ok_or(EFAULT)?
            } else {
                reads += 1;
                self.read.get(reads - 1).ok_or(EFAULT)?
            };
            let addr = || {
                self.plan
                    .pages()
                    .nth(writes + reads - 1)
                    .map(|page| page.addr)
            };

            if is_usable(page, write, addr) {
                Ok(page.address().cast())
            } else {
                Err(EAGAIN)
            }
        })
    }

    fn unpin(&mut self) {
        stats::sub(Stat::PinnedNow, self.written.len() + self.read.len());
        self.written.unpin();
        self.read.unpin();
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

    /// Notes that the pages have been written to.
    #[inline]
    pub(crate) fn mark_dirty(self) {
        self.0.written.mark_dirty();
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
    let result = pages.pin_present(start, count);
    let pinned = pages.len() - before;

    stats::add(Stat::PagesPinned, pinned);
    stats::add(Stat::PinnedNow, pinned);
    result
}

/// Whether a pinned page, which is at `addr`, can be used for `write`.
#[inline]
fn is_usable(page: PinnedPage<'_>, write: bool, addr: impl Fn() -> Option<usize>) -> bool {
    page.is_anonymous()
        || if write {
            !page.tracks_dirty()
        } else {
            // The mmap lock is not to be waited for with pages pinned.
            addr().is_some_and(|addr| copied_on_write(addr) == Some(false))
        }
}

/// Whether what the process writes at `addr` goes to a copy of the page that is there; `None` if that
/// cannot be told without waiting.
fn copied_on_write(addr: usize) -> Option<bool> {
    let current = current!();
    let mm = current.mm()?;

    if let Some(vma) = mm.lock_vma_under_rcu(addr) {
        return Some(is_private(&vma));
    }
    let mm = mm.mmap_read_trylock()?;
    mm.vma_lookup(addr).map(|vma| is_private(&vma))
}

fn is_private(vma: &VmaRef) -> bool {
    vma.flags() & (flags::SHARED | flags::WRITE) == flags::WRITE
}

/// Faults in all pages of `vector`, one after the other, in the order of its operands.
///
/// # Errors
///
/// As [`Pages::pin`].
#[cold]
fn fault_in(vector: &[RawOp]) -> Result<(), Failed> {
    for (index, raw) in vector.iter().enumerate() {
        op::decode(raw, &mut FaultIn).map_err(|error| Failed {
            index,
            error: if killed() { EINTR } else { error },
        })?;
    }
    Ok(())
}

struct FaultIn;

impl Sink for FaultIn {
    unsafe fn push<const N: usize>(&mut self, _: Op, operands: [User; N]) -> Result {
        for operand in operands {
            fault_in_operand(operand).map_err(|e| operand.error(e))?;
        }
        Ok(())
    }
}

fn fault_in_operand(operand: User) -> Result {
    let addr = operand.untagged();
    let Some(last) = usize::from(operand.len).checked_sub(1) else {
        return Ok(());
    };
    let first = addr & PAGE_MASK;
    let last = addr.wrapping_add(last) & PAGE_MASK;

    fault_in_page(first, operand.write)?;
    if last != first {
        fault_in_page(last, operand.write)?;
    }
    Ok(())
}

/// Faults in a page in the way in which it will be pinned.
fn fault_in_page(addr: usize, write: bool) -> Result {
    stats::add(Stat::Faults, 1);
    if write {
        return fault_in_for(addr, Access::Write, |page| {
            (!page.tracks_dirty()).then_some(()).ok_or(EFAULT)
        });
    }
    let anonymous = fault_in_for(addr, Access::Read, |page| Ok(page.is_anonymous()))?;

    if !anonymous && is_private_at(addr) {
        // Copies it. That can be refused where the page may be read, because of the protection key
        // for instance. What another thread writes there would not be seen then.
        fault_in_for(addr, Access::Write, |_| Ok(()))?;
    }
    Ok(())
}

/// Whether there is a writable private mapping at `addr`. Not, if nothing is mapped there any more.
fn is_private_at(addr: usize) -> bool {
    copied_on_write(addr).unwrap_or_else(|| {
        current!().mm().is_some_and(|mm| {
            mm.mmap_read_lock()
                .vma_lookup(addr)
                .is_some_and(|vma| is_private(&vma))
        })
    })
}

/// Pins a page for a moment, in which `look` can look at it.
fn fault_in_for<R>(
    addr: usize,
    access: Access,
    look: impl FnOnce(PinnedPage<'_>) -> Result<R>,
) -> Result<R> {
    let mut slot = [Slot::uninit()];
    let mut pages = PinnedPages::new(&mut slot, access);

    pages.fault_in(addr).map_err(error_of_operand)?;
    look(pages.get(0).ok_or(EFAULT)?)
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
