// SPDX-License-Identifier: GPL-2.0

//! Which way a vector takes: how user code is kept off the CPU, and how operands are reached.
//!
//! Decided from facts, without effects: the whole table is tested with KUnit.

use kernel::{
    exclude::Occupant,
    prelude::*, //
};

/// How user code is kept off the CPU, or the concurrency ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exclusion {
    /// The caller is there, or has the concurrency ID, with interrupts off.
    Local,
    /// The CPU runs no user task, and its runqueue is locked.
    Locked,
    /// The CPU runs a user task, or one that has the concurrency ID, which is interrupted.
    Interrupt,
    /// The caller went there, with interrupts off.
    Migrate,
    /// The caller took the concurrency ID, which no thread that ran had.
    #[cfg_attr(not(CONFIG_SCHED_MM_CID), expect(dead_code))]
    Taken,
}

/// How operands are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operands {
    /// By user accesses.
    InPlace,
    /// By the kernel's own mapping of their pages, which are pinned.
    Pinned,
}

/// The sysctl `kernel.cpu_opv_remote`: what to do where a user task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remote {
    Interrupt,
    Migrate,
}

/// What counts for a CPU that runs a user task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) occupant: Occupant,
    pub(crate) remote: Remote,
    /// The affinity mask of the caller has the CPU, and it has not gone there in vain too often.
    pub(crate) may_move: bool,
}

/// Chooses the exclusion for a CPU that runs a user task.
///
/// A task of another process is spared if it is of a real-time class or its CPU is isolated.
///
/// # Errors
///
/// `EBUSY` if there is no way.
#[inline]
pub(crate) fn exclusion(facts: Facts) -> Result<Exclusion> {
    let occupant = facts.occupant;
    let spared = !occupant.same_mm() && (occupant.isolated() || occupant.realtime());

    if facts.may_move && (spared || facts.remote == Remote::Migrate) {
        Ok(Exclusion::Migrate)
    } else if spared {
        Err(EBUSY)
    } else {
        Ok(Exclusion::Interrupt)
    }
}

/// Chooses how to reach operands: `words` if there is at most one store, at the end, and all are
/// aligned words; `own_memory` if user accesses reach the memory of the caller where the vector
/// runs.
#[inline(always)]
pub(crate) fn operands(words: bool, own_memory: bool) -> Operands {
    if words && own_memory {
        Operands::InPlace
    } else {
        Operands::Pinned
    }
}
