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
    prelude::*,
    uaccess::UserPtr, //
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
#[derive(Clone, Copy)]
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
            if self.pin_all(PinnedPages::pin_present).is_ok() {
                return Ok(Pinned(self));
            }
            self.unpin();
            fault_in(vector)?;
            // Some pages cannot be had without the mmap lock: the zero page, for instance.
            if self.pin_all(PinnedPages::pin_mapped).is_ok() {
                return Ok(Pinned(self));
            }
            self.unpin();
        }
        Err(EAGAIN.into())
    }

    /// Pins all of them by `pin`, if they are there.
    #[inline]
    fn pin_all(&mut self, pin: impl Fn(&mut PinnedPages<'a>, usize, usize) -> Result) -> Result {
        for (write, pages) in [(true, &mut self.written), (false, &mut self.read)] {
            for (start, count) in self.plan.runs(write) {
                let before = pages.len();
                let result = pin(pages, start, count);
                let pinned = pages.len() - before;

                stats::add(Stat::PagesPinned, pinned);
                stats::add(Stat::PinnedNow, pinned);
                result?;
            }
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
    mm.vma_lookup(addr).map(is_private)
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

/// Faults in the pages of an operand, in the way in which they will be pinned.
pub(crate) fn fault_in_operand(operand: User) -> Result {
    let Some(last) = usize::from(operand.len).checked_sub(1) else {
        return Ok(());
    };
    let last = operand.addr.wrapping_add(last);

    fault_in_page(operand.addr, operand.write)?;
    if last & PAGE_MASK != operand.addr & PAGE_MASK {
        fault_in_page(last & PAGE_MASK, operand.write)?;
    }
    Ok(())
}

/// Accesses the byte at `addr` as the task itself would, and changes nothing: of a device, it only reads
/// even for `write`. May sleep, for as long as user space likes.
///
/// # Errors
///
/// `EFAULT` if the task could not.
pub(crate) fn access(addr: usize, write: bool) -> Result {
    let device = |vma: &VmaRef| vma.flags() & (flags::IO | flags::PFNMAP) != 0;
    let ptr = UserPtr::from_addr(addr);

    if write && !look_up(addr, device).unwrap_or(false) {
        ptr.fault_in_writable()
    } else {
        ptr.fault_in_readable()
    }
}

/// Faults in the page at `addr` in the way in which it will be pinned, after an access of the task
/// itself, which can do more: let a stack grow, for instance.
fn fault_in_page(addr: usize, write: bool) -> Result {
    stats::add(Stat::Faults, 1);
    // Whether that is possible is for the pin to tell, with the right error.
    let _ = access(addr, write);
    if write {
        return fault_in_for(addr, Access::Write, |page| {
            (!page.tracks_dirty()).then_some(()).ok_or(EFAULT)
        });
    }
    let anonymous = fault_in_for(addr, Access::Read, |page| Ok(page.is_anonymous()))?;

    if !anonymous && look_up(addr, is_private).unwrap_or(false) {
        // Copies it. That can be refused where the page may be read, because of the protection key
        // for instance. What another thread writes there would not be seen then.
        fault_in_for(addr, Access::Write, |_| Ok(()))?;
    }
    Ok(())
}

/// What `f` tells of the mapping at `addr`, if there is one. May wait for the mmap lock.
fn look_up(addr: usize, f: impl Fn(&VmaRef) -> bool) -> Option<bool> {
    let current = current!();
    let mm = current.mm()?;

    if let Some(vma) = mm.lock_vma_under_rcu(addr) {
        return Some(f(&vma));
    }
    let mm = mm.mmap_read_lock();
    mm.vma_lookup(addr).map(f)
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
