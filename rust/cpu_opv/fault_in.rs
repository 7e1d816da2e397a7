// SPDX-License-Identifier: GPL-2.0

//! Faulting in operands, with nothing held.

use crate::{
    op::{
        Op,
        Operand, //
    },
    stats::{
        self,
        Stat, //
    },
    target::killed, //
};
use kernel::{
    mm::{
        pin::{
            Access,
            How,
            PinnedPage,
            PinnedPages,
            Slot, //
        },
        virt::{
            flags,
            VmaRef, //
        },
        MmWithUser,
        MmapReadGuard, //
    },
    page::PAGE_MASK,
    prelude::*,
    uaccess::UserPtr, //
};

/// Makes the operands of `op` accessible to the task itself, in order. May sleep, for as long as
/// user space likes.
///
/// # Errors
///
/// `EFAULT` if one cannot be accessed, or `EAGAIN` if it says so; `EINTR` if the task was killed.
#[cold]
pub(crate) fn for_access(op: &Op) -> Result {
    // Where it fails, a pin tells why, unless it is of memory that cannot be pinned.
    for_each_operand(op, |operand| {
        access(operand.addr, operand.write).or_else(|_| pages(operand))
    })
}

/// Makes the pages of the operands of `op` ones that can be pinned, in order. May sleep, for as
/// long as user space likes.
///
/// # Errors
///
/// As [`for_access`]; `ENOMEM`.
#[cold]
pub(crate) fn for_pins(op: &Op) -> Result {
    for_each_operand(op, pages)
}

fn for_each_operand(op: &Op, fault_in: impl Fn(Operand) -> Result) -> Result {
    for (n, operand) in op.operands().enumerate() {
        stats::add(Stat::Faults, 1);
        fault_in(operand).map_err(|e| {
            if killed() {
                EINTR
            } else if e == EFAULT && op.guessed(n) {
                EAGAIN
            } else {
                e
            }
        })?;
    }
    Ok(())
}

/// Faults in the pages of an operand, in the way in which they will be pinned.
fn pages(operand: Operand) -> Result {
    let Some(last) = operand.len.checked_sub(1) else {
        return Ok(());
    };
    let last = operand.addr.wrapping_add(last);

    page(operand.addr, operand.write)?;
    if last & PAGE_MASK != operand.addr & PAGE_MASK {
        page(last & PAGE_MASK, operand.write)?;
    }
    Ok(())
}

/// Accesses the byte at `addr` as the task itself would, and changes nothing: of a device, it only
/// reads even for `write`. May sleep, for as long as user space likes.
///
/// # Errors
///
/// `EFAULT` if the task could not.
fn access(addr: usize, write: bool) -> Result {
    let device = |vma: &VmaRef| vma.flags() & (flags::IO | flags::PFNMAP) != 0;
    let ptr = UserPtr::from_addr(addr);

    if write && !look_up(addr, device, wait).unwrap_or(false) {
        ptr.fault_in_writable()
    } else {
        ptr.fault_in_readable()
    }
}

/// Faults in the page at `addr` in the way in which it will be pinned, after an access of the task
/// itself, which can do more: let a stack grow, for instance.
fn page(addr: usize, write: bool) -> Result {
    // Why it fails is for the pin to tell. That may even get what the access did not, such as memory,
    // but does not look at the page, which can be bad.
    let accessed = access(addr, write);

    if write {
        pinned(addr, Access::Write, |page| {
            (!page.tracks_dirty()).then_some(()).ok_or(EFAULT)
        })?;
    } else if !pinned(addr, Access::Read, |page| Ok(page.is_anonymous()))?
        && look_up(addr, is_private, wait).unwrap_or(false)
    {
        // Copies it. That can be refused where the page may be read, because of the protection key
        // for instance. What another thread writes there would not be seen then.
        pinned(addr, Access::Write, |_| Ok(()))?;
    }
    accessed.or_else(|_| access(addr, write))
}

fn is_private(vma: &VmaRef) -> bool {
    vma.flags() & (flags::SHARED | flags::WRITE) == flags::WRITE
}

/// Whether what the process writes at `addr` goes to a copy of the page that is there; `None` if
/// that cannot be told without waiting, unless the mmap lock is held.
pub(crate) fn is_copied_on_write(addr: usize, how: How<'_>) -> Option<bool> {
    if let How::Mapped(mm) = how {
        return mm.vma_lookup(addr).map(is_private);
    }
    look_up(addr, is_private, MmWithUser::mmap_read_trylock)
}

/// What `f` tells of the mapping at `addr`, if there is one. Takes the mmap lock by `lock`, where
/// that is needed and it can.
fn look_up(
    addr: usize,
    f: impl Fn(&VmaRef) -> bool,
    lock: impl Fn(&MmWithUser) -> Option<MmapReadGuard<'_>>,
) -> Option<bool> {
    let current = current!();
    let mm = current.mm()?;

    if let Some(vma) = mm.lock_vma_under_rcu(addr) {
        return Some(f(&vma));
    }
    let mm = lock(mm)?;
    mm.vma_lookup(addr).map(f)
}

/// Waits for the mmap lock, unless the task is killed.
fn wait(mm: &MmWithUser) -> Option<MmapReadGuard<'_>> {
    mm.mmap_read_lock_killable().ok()
}

/// Pins a page for a moment, in which `look` can look at it.
fn pinned<R>(
    addr: usize,
    access: Access,
    look: impl FnOnce(PinnedPage<'_>) -> Result<R>,
) -> Result<R> {
    let mut slot = [Slot::at(addr)];
    let mut pages = PinnedPages::new(&mut slot);

    pages
        .pin(How::FaultIn, access, 1)
        .map_err(error_of_operand)?;
    look(*pages.pinned().first().ok_or(EFAULT)?)
}

/// The error of an operand whose pages could not be pinned because of `e`: whatever the reason is
/// why there is no memory, unless `e` is of no operand.
fn error_of_operand(e: Error) -> Error {
    if e == ENOMEM || e == EINTR || e == ERESTARTSYS {
        e
    } else {
        EFAULT
    }
}
