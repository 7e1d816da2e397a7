// SPDX-License-Identifier: GPL-2.0

//! Ending a critical section: reading the descriptor, acting on the verdict.

use crate::{
    abi::descriptor,
    area::Area,
    cs::{
        debug_verdict,
        AbortIp,
        Descriptor,
        Field,
        Verdict, //
    },
    stats::{
        Stat,
        Stats, //
    },
    task::{
        Current,
        Failed, //
    },
};
use kernel::{
    ptrace::PtRegs,
    uaccess::{
        access::{
            task_size,
            Fault,
            UserRead,
            UserRegion, //
        },
        UserPtr, //
    },
};

/// An abort that took place, for the trace event.
pub(crate) struct Abort {
    /// Where the task was.
    pub(crate) ip: u64,
    /// The section it was in.
    pub(crate) section: Descriptor,
}

/// Ends the critical section whose descriptor is at `csaddr`.
///
/// If the task is inside of the section, it continues at the abort address. The area does not announce
/// the section any more.
///
/// # Errors
///
/// Fatal if the descriptor is not in user space, or if the task is inside of the section
/// and the abort address is not in user space or not preceded by the signature.
#[inline(always)]
pub(crate) fn update_user_cs(
    region: &UserRegion,
    area: &Area<'_>,
    task: Current<'_>,
    regs: &PtRegs,
    csaddr: u64,
    stats: &Stats,
) -> Result<Option<Abort>, Failed> {
    stats.note(Stat::Cs);

    let task_size = task_size(task.task());
    if csaddr >= task_size {
        return Err(task.die());
    }

    let [start_ip, post_commit_offset, abort_ip] = region
        .window(UserPtr::from_addr(csaddr as usize))?
        .read::<[u64; 3], { descriptor::START_IP }>()?;
    let section = Descriptor {
        start_ip,
        post_commit_offset,
        abort_ip,
    };

    let ip = regs.instruction_pointer() as u64;
    match section.verdict(ip, task_size) {
        Verdict::Clear => {
            area.clear_cs()?;
            stats.note(Stat::Clear);
            Ok(None)
        }
        Verdict::Abort(abort_ip) => {
            abort(region, area, task, regs, abort_ip)?;
            stats.note(Stat::Fixup);
            Ok(Some(Abort { ip, section }))
        }
        Verdict::Invalid => Err(task.die()),
    }
}

/// Lets the task continue at `abort_ip`, if the signature precedes it.
///
/// The signature keeps an attacker who can write the area from sending the task anywhere.
#[inline(always)]
fn abort(
    region: &UserRegion,
    area: &Area<'_>,
    task: Current<'_>,
    regs: &PtRegs,
    abort_ip: AbortIp,
) -> Result<(), Failed> {
    let signature = region.window(UserPtr::from_addr(abort_ip.signature() as usize))?;
    if !signature.equals::<u32, 0>(task.data().sig())? {
        return Err(task.die());
    }

    area.clear_cs()?;
    // SAFETY: By the type invariant of `AbortIp` this is an address in user space.
    unsafe { regs.set_instruction_pointer(abort_ip.get() as usize) };
    Ok(())
}

/// As [`update_user_cs`], by the rules of debug mode, with access regions of its own.
///
/// # Errors
///
/// Fatal also if the descriptor breaks a rule, or if the task is inside of the section
/// and did not enter the kernel by an interrupt.
pub(crate) fn debug_update_user_cs(
    task: Current<'_>,
    regs: &PtRegs,
    csaddr: u64,
    stats: &Stats,
) -> Result<Option<Abort>, Failed> {
    let task_size = task_size(task.task());
    if csaddr >= task_size {
        return Err(task.die());
    }

    let ip = regs.instruction_pointer() as u64;
    let read = |field| match field {
        Field::Head => read_user::<u64, { descriptor::HEAD }>(csaddr),
        Field::StartIp => read_user::<u64, { descriptor::START_IP }>(csaddr),
        Field::PostCommitOffset => read_user::<u64, { descriptor::POST_COMMIT_OFFSET }>(csaddr),
        Field::AbortIp => read_user::<u64, { descriptor::ABORT_IP }>(csaddr),
    };

    let (verdict, section) = debug_verdict(ip, task_size, read)?;
    // SAFETY: The only region: those of `read` are closed. Below, nothing but accesses is called.
    let region = unsafe { UserRegion::open() };
    let area = Area::registered(&region, task.data());
    match verdict {
        Verdict::Clear => {
            area.clear_cs()?;
            stats.note(Stat::Clear);
            Ok(None)
        }
        // A section must not be left by a system call.
        Verdict::Abort(abort_ip) if task.data().event.user_irq() => {
            abort(&region, &area, task, regs, abort_ip)?;
            stats.note(Stat::Fixup);
            Ok(Some(Abort { ip, section }))
        }
        _ => Err(task.die()),
    }
}

/// Reads a word of user memory anywhere.
#[inline(always)]
fn read_user<T: UserRead, const OFF: usize>(address: u64) -> Result<T, Fault> {
    // SAFETY: The only region, since no caller has one; nothing but the access is called.
    let region = unsafe { UserRegion::open() };

    region
        .window(UserPtr::from_addr(address as usize))?
        .read::<T, OFF>()
}
