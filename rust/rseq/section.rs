// SPDX-License-Identifier: GPL-2.0

//! Ending a critical section: reading the descriptor, acting on the verdict.

use crate::{
    abi::{
        descriptor,
        SIG_SIZE, //
    },
    area::{
        self,
        read_user,
        Area, //
    },
    cs::{
        debug_verdict,
        Descriptor,
        Field,
        Verdict, //
    },
    stats::{
        Stat,
        Stats, //
    },
    task::RseqTask, //
};
use kernel::{
    ptrace::PtRegs,
    uaccess::{
        access::{
            task_size,
            Fault,
            UserRegion, //
        },
        UserPtr, //
    },
};

/// The area could not be brought up to date.
///
/// Either a page fault was not resolved, or user memory does not hold what it must; then the event
/// of the task says that it is fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

impl Failed {
    /// User memory does not hold what it must.
    #[inline(always)]
    pub(crate) fn fatal(task: RseqTask<'_>) -> Self {
        task.rseq().event.set_fatal();
        Failed
    }
}

impl From<Fault> for Failed {
    #[inline(always)]
    fn from(_: Fault) -> Self {
        Failed
    }
}

/// An abort that took place, for the trace event.
pub(crate) struct Abort {
    /// Where the task was.
    pub(crate) ip: u64,
    /// The section it was in.
    pub(crate) section: Descriptor,
}

/// Ends the critical section that the area announces, if any.
///
/// If the task is inside of the section, it continues at the abort address. The area does not announce
/// the section any more.
///
/// # Errors
///
/// Fatal if the descriptor is not in user space, or if the task is inside of the section
/// and the abort address is not in user space or not preceded by the signature.
#[inline(always)]
pub(crate) fn end(
    region: &UserRegion,
    area: &Area<'_>,
    task: RseqTask<'_>,
    regs: &PtRegs,
    stats: &Stats,
) -> Result<Option<Abort>, Failed> {
    if area.is_cs_null()? {
        return Ok(None);
    }
    let address = area.cs()?;
    if address == 0 {
        return Ok(None);
    }
    stats.note(Stat::Cs);

    let task_size = task_size(task.task());
    if address >= task_size {
        return Err(Failed::fatal(task));
    }

    let [start_ip, post_commit_offset, abort_ip] = region
        .window(UserPtr::from_addr(address as usize))?
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
        Verdict::Abort => {
            abort(region, area, task, regs, section.abort_ip)?;
            stats.note(Stat::Fixup);
            Ok(Some(Abort { ip, section }))
        }
        Verdict::Invalid => Err(Failed::fatal(task)),
    }
}

/// Lets the task continue at `abort_ip`, for which the verdict was [`Verdict::Abort`], if the
/// signature precedes it.
///
/// The signature keeps an attacker who can write the area from sending the task anywhere.
#[inline(always)]
fn abort(
    region: &UserRegion,
    area: &Area<'_>,
    task: RseqTask<'_>,
    regs: &PtRegs,
    abort_ip: u64,
) -> Result<(), Failed> {
    let signature = region.window(UserPtr::from_addr(abort_ip.wrapping_sub(SIG_SIZE) as usize))?;
    if !signature.equals::<u32, 0>(task.rseq().sig())? {
        return Err(Failed::fatal(task));
    }

    area.clear_cs()?;
    // SAFETY: By the verdict the address is in user space.
    unsafe { regs.set_instruction_pointer(abort_ip as usize) };
    Ok(())
}

/// As [`end`], by the rules of debug mode, outside of any region.
///
/// # Errors
///
/// Fatal also if the descriptor breaks a rule, or if the task is inside of the section
/// and did not enter the kernel by an interrupt.
/// A NULL address announces no section, if `may_be_null`.
#[cold]
pub(crate) fn debug_end(
    task: RseqTask<'_>,
    regs: &PtRegs,
    stats: &Stats,
    may_be_null: bool,
) -> Result<Option<Abort>, Failed> {
    let address = announced(task)?;
    if address == 0 && may_be_null {
        return Ok(None);
    }
    stats.note(Stat::Cs);
    debug_end_at(address, task, regs, stats)
}

/// As [`debug_end`], for the descriptor at `address`.
pub(crate) fn debug_end_at(
    address: u64,
    task: RseqTask<'_>,
    regs: &PtRegs,
    stats: &Stats,
) -> Result<Option<Abort>, Failed> {
    let task_size = task_size(task.task());
    if address >= task_size {
        return Err(Failed::fatal(task));
    }

    let ip = regs.instruction_pointer() as u64;
    let read = |field| match field {
        Field::Head => read_user::<u64, { descriptor::HEAD }>(address),
        Field::StartIp => read_user::<u64, { descriptor::START_IP }>(address),
        Field::PostCommitOffset => read_user::<u64, { descriptor::POST_COMMIT_OFFSET }>(address),
        Field::AbortIp => read_user::<u64, { descriptor::ABORT_IP }>(address),
    };

    let (verdict, section) = debug_verdict(ip, task_size, read)?;
    match verdict {
        Verdict::Clear => {
            {
                let region = area::open();
                Area::registered(&region, task.rseq()).clear_cs()?;
            }
            stats.note(Stat::Clear);
            Ok(None)
        }
        // A section must not be left by a system call.
        Verdict::Abort if task.rseq().event.user_irq() => {
            {
                let region = area::open();
                let area = Area::registered(&region, task.rseq());
                abort(&region, &area, task, regs, section.abort_ip)?;
            }
            stats.note(Stat::Fixup);
            Ok(Some(Abort { ip, section }))
        }
        _ => Err(Failed::fatal(task)),
    }
}

/// Reads the address of the descriptor that the area of `task` announces.
pub(crate) fn announced(task: RseqTask<'_>) -> Result<u64, Fault> {
    let region = area::open();

    Area::registered(&region, task.rseq()).cs()
}
