// SPDX-License-Identifier: GPL-2.0

//! Reaching a CPU.

use crate::{
    stats::{
        self,
        Stat, //
    },
    way::{
        self,
        Exclusion,
        Facts,
        Remote, //
    },
};
use kernel::{
    bindings,
    cpu::CpuId,
    exclude::{
        self,
        Busy,
        Caller,
        Section, //
    },
    migrate::move_current_to,
    prelude::*,
    processor::cpu_relax, //
};

/// How often a caller goes to a CPU, if others move it away before its vector ran.
const MOVES: usize = 8;

/// A CPU that the caller may name.
pub(crate) struct Target<'a> {
    caller: &'a Caller,
    cpu: CpuId,
    /// How often the caller may still go there.
    moves: usize,
    moved: bool,
}

/// How a section fared.
pub(crate) enum Reached<T> {
    /// It ran, and returned this.
    Ran(T, Exclusion),
    /// It did not run: the CPU runs a task of another process, so that it would not reach the
    /// caller's memory.
    Foreign,
    /// It did not run: the caller has to [go there](Target::go), and should hold nothing meanwhile.
    Move,
}

impl<'a> Target<'a> {
    /// The CPU that has `number`.
    ///
    /// # Errors
    ///
    /// `ENXIO` if there is none, or the caller may not name it; `ENOMEM`.
    pub(crate) fn new(caller: &'a Caller, number: c_int) -> Result<Self> {
        let (cpu, in_mask) = exclude::permitted(number)?;

        Ok(Self {
            caller,
            cpu,
            moves: if in_mask { MOVES } else { 0 },
            moved: false,
        })
    }

    /// Whether the caller may go there (again).
    pub(crate) fn may_move(&self) -> bool {
        self.moves > 0
    }

    /// Runs `section`, `needs_memory` of the caller, on the CPU or for it. Does not sleep but to let
    /// others run.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the CPU must not be disturbed, `EAGAIN` if the caller could not stay there; `EINTR`
    /// if it was killed.
    pub(crate) fn run<S: Section>(
        &self,
        section: &S,
        needs_memory: bool,
    ) -> Result<Reached<S::Output>> {
        loop {
            let number = self.cpu.as_u32() as c_int;
            if let Some(output) = exclude::here(self.caller, number, section) {
                let exclusion = if self.moved {
                    Exclusion::Migrate
                } else {
                    Exclusion::Local
                };
                return Ok(Reached::Ran(output, exclusion));
            }
            match exclude::locked(self.caller, self.cpu, section) {
                Ok(output) => return Ok(Reached::Ran(output, Exclusion::Locked)),
                Err(Busy::Again) => {}
                Err(Busy::Occupied(occupant)) => {
                    let exclusion = way::exclusion(Facts {
                        occupant,
                        remote: remote(),
                        may_move: self.may_move(),
                    });
                    match exclusion {
                        Ok(Exclusion::Migrate) => return Ok(Reached::Move),
                        Ok(_) if needs_memory && !occupant.same_mm() => {
                            return Ok(Reached::Foreign)
                        }
                        Ok(_) => {
                            let result = exclude::interrupt(self.caller, self.cpu, section);
                            if let Ok(output) = result {
                                return Ok(Reached::Ran(output, Exclusion::Interrupt));
                            }
                        }
                        Err(_) if self.moved => return Err(EAGAIN),
                        Err(e) => {
                            stats::add(Stat::Refused, 1);
                            return Err(e);
                        }
                    }
                }
            }
            pause()?;
        }
    }

    /// Goes to the CPU, and waits for a turn there. Sleeps.
    pub(crate) fn go(&mut self) -> Result {
        if killed() {
            return Err(EINTR);
        }
        self.moves = self.moves.saturating_sub(1);
        match move_current_to(self.cpu) {
            Ok(()) => self.moved = true,
            Err(e) if e == EAGAIN => {}
            // The mask has changed.
            Err(_) => self.moves = 0,
        }
        Ok(())
    }
}

fn remote() -> Remote {
    // SAFETY: An integer that is written at once.
    match unsafe { (&raw const bindings::cpu_opv_remote).read_volatile() } {
        bindings::cpu_opv_remote_CPU_OPV_MIGRATE => Remote::Migrate,
        _ => Remote::Interrupt,
    }
}

/// Whether the current task is being killed.
pub(crate) fn killed() -> bool {
    // SAFETY: The current task is valid.
    unsafe { bindings::fatal_signal_pending(current!().as_ptr()) != 0 }
}

/// Between two tries, with nothing held: lets others run.
fn pause() -> Result {
    if killed() {
        return Err(EINTR);
    }
    stats::add(Stat::Retries, 1);
    cpu_relax();
    // SAFETY: The task can sleep.
    unsafe { bindings::cond_resched() };
    Ok(())
}
