// SPDX-License-Identifier: GPL-2.0

//! What to do with a task that announced a critical section.
//!
//! Pure decisions. Addresses are those of user space, as integers. `task_size` is the first address
//! after the user space of the task.

use crate::abi::SIG_SIZE;
use kernel::uaccess::access::Fault;

/// The addresses in a descriptor of a critical section.
///
/// C: `struct rseq_cs`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// The first instruction.
    pub(crate) start_ip: u64,
    /// The length in bytes.
    pub(crate) post_commit_offset: u64,
    /// Where to continue when the section has been interrupted.
    pub(crate) abort_ip: u64,
}

/// Where an aborted section continues.
///
/// # Invariants
///
/// The address, and that of the signature before it, are below the `task_size` that the value was
/// made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AbortIp(u64);

impl AbortIp {
    #[inline(always)]
    fn new(abort_ip: u64, task_size: u64) -> Option<Self> {
        // One comparison: what is less than `SIG_SIZE` wraps around.
        let signature = abort_ip.wrapping_sub(SIG_SIZE);

        // INVARIANT: Here they are.
        (signature < task_size.wrapping_sub(SIG_SIZE)).then_some(Self(abort_ip))
    }

    /// The address.
    #[inline(always)]
    pub(crate) fn get(self) -> u64 {
        self.0
    }

    /// The address of the signature.
    #[inline(always)]
    pub(crate) fn signature(self) -> u64 {
        self.0.wrapping_sub(SIG_SIZE)
    }
}

/// What to do with an interrupted task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The task is outside of the section: forget the section.
    Clear,
    /// The task is inside of the section: continue at its abort address, if the signature of the
    /// task precedes it.
    Abort(AbortIp),
    /// The task must not return to user mode.
    Invalid,
}

impl Descriptor {
    /// Decides about a task that was interrupted at `ip`.
    ///
    /// Checks what the kernel must know to stay safe, and no more: the abort address and its
    /// signature lie in user space. A section that makes no sense otherwise is the problem of user
    /// space; debug mode ([`debug_verdict`]) helps to find it.
    #[inline(always)]
    pub(crate) fn verdict(&self, ip: u64, task_size: u64) -> Verdict {
        if ip.wrapping_sub(self.start_ip) >= self.post_commit_offset {
            return Verdict::Clear;
        }
        match AbortIp::new(self.abort_ip, task_size) {
            Some(abort_ip) => Verdict::Abort(abort_ip),
            None => Verdict::Invalid,
        }
    }
}

/// The fields of a descriptor, for [`debug_verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Version and flags.
    Head,
    /// [`Descriptor::start_ip`]
    StartIp,
    /// [`Descriptor::post_commit_offset`]
    PostCommitOffset,
    /// [`Descriptor::abort_ip`]
    AbortIp,
}

/// Decides in debug mode about a task that was interrupted at `ip`, or made a system call there.
///
/// In addition to [`Descriptor::verdict`], the section must lie in user space, must not contain its
/// abort address, and must have neither version nor flags. Calls `read` for the fields in the order
/// in which they matter, so that those that do not matter need not be readable.
///
/// # Errors
///
/// [`Fault`] if `read` fails.
pub(crate) fn debug_verdict(
    ip: u64,
    task_size: u64,
    mut read: impl FnMut(Field) -> Result<u64, Fault>,
) -> Result<(Verdict, Descriptor), Fault> {
    let mut descriptor = Descriptor {
        start_ip: read(Field::StartIp)?,
        post_commit_offset: 0,
        abort_ip: 0,
    };
    if descriptor.start_ip >= task_size {
        return Ok((Verdict::Invalid, descriptor));
    }
    if ip < descriptor.start_ip {
        return Ok((Verdict::Clear, descriptor));
    }

    descriptor.post_commit_offset = read(Field::PostCommitOffset)?;
    match descriptor
        .start_ip
        .checked_add(descriptor.post_commit_offset)
    {
        Some(end) if end < task_size => {
            if ip >= end {
                return Ok((Verdict::Clear, descriptor));
            }
        }
        _ => return Ok((Verdict::Invalid, descriptor)),
    }

    descriptor.abort_ip = read(Field::AbortIp)?;
    let inside =
        descriptor.abort_ip.wrapping_sub(descriptor.start_ip) < descriptor.post_commit_offset;
    match descriptor.verdict(ip, task_size) {
        Verdict::Abort(_) if inside || read(Field::Head)? != 0 => {
            Ok((Verdict::Invalid, descriptor))
        }
        verdict => Ok((verdict, descriptor)),
    }
}
