// SPDX-License-Identifier: GPL-2.0

//! Reaching a CPU.

use crate::{
    target::{
        killed,
        Reached,
        Target, //
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
    exclude::{
        self,
        Busy,
        Caller,
        Cpu,
        Occupant,
        Place,
        Section, //
    },
    migrate::move_current_to,
    prelude::*, //
};

/// How often a caller goes to a CPU, if others move it away before its vector ran.
const MOVES: usize = 8;

/// A CPU that the caller may name.
pub(crate) struct OnCpu<'a> {
    caller: &'a Caller,
    cpu: Cpu,
    /// How often the caller may still go there.
    moves: usize,
    moved: bool,
}

impl<'a> OnCpu<'a> {
    /// The CPU that has `number`.
    ///
    /// # Errors
    ///
    /// `ENXIO` if there is none, or the caller may not name it; `ENOMEM`.
    pub(crate) fn new(caller: &'a Caller, number: c_int) -> Result<Self> {
        Ok(Self {
            caller,
            cpu: Cpu::named(number)?,
            moves: MOVES,
            moved: false,
        })
    }

    /// How to keep out the user task that the CPU runs.
    fn choose(&self, occupant: Occupant) -> Result<Exclusion> {
        let in_mask = self.cpu.in_mask();
        let exclusion = way::exclusion(Facts {
            occupant,
            remote: remote(),
            may_move: in_mask && self.moves > 0,
        });

        // It may have gone there in vain.
        exclusion.map_err(|e| if in_mask { self.lost() } else { e })
    }
}

impl Target for OnCpu<'_> {
    fn look_again(&mut self) -> Result {
        self.cpu = Cpu::named(self.cpu.number())?;
        Ok(())
    }

    #[inline]
    fn try_run<S: Section>(
        &self,
        section: &S,
        user_memory: bool,
    ) -> Result<Option<Reached<S::Output>>> {
        let place = Place::Cpu(self.cpu.number());

        if let Some(output) = exclude::here(self.caller, place, section) {
            let exclusion = if self.moved {
                Exclusion::Migrate
            } else {
                Exclusion::Local
            };
            return Ok(Some(Reached::Ran(output, exclusion)));
        }
        let occupant = match exclude::locked(self.caller, self.cpu, section) {
            Ok(output) => return Ok(Some(Reached::Ran(output, Exclusion::Locked))),
            Err(Busy::Again) => return Ok(None),
            Err(Busy::Occupied(occupant)) => occupant,
        };
        if self.choose(occupant)? == Exclusion::Migrate {
            return Ok(Some(Reached::Move));
        }
        if user_memory && !occupant.same_mm() {
            return Ok(Some(Reached::Foreign));
        }
        let output = exclude::interrupt(self.caller, self.cpu, section).ok();
        Ok(output.map(|output| Reached::Ran(output, Exclusion::Interrupt)))
    }

    fn lost(&self) -> Error {
        if self.moved {
            EAGAIN
        } else {
            EBUSY
        }
    }

    fn go(&mut self) -> Result {
        if killed() {
            return Err(EINTR);
        }
        if self.moves == 0 {
            return Ok(());
        }
        self.moves -= 1;
        // What it is for is tried in any case: the mask may have changed.
        self.moved |= move_current_to(self.cpu.id()).is_ok();
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
