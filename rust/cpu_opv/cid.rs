// SPDX-License-Identifier: GPL-2.0

//! Excluding a concurrency ID.

use crate::{
    target::{
        pause,
        Reached,
        TRIES, //
    },
    way::Exclusion, //
};
use kernel::{
    exclude::{
        self,
        Caller,
        Cid,
        CidOwner,
        Section, //
    },
    prelude::*, //
};

/// A concurrency ID of the caller's address space.
pub(crate) struct WithCid<'a> {
    caller: &'a Caller,
    cid: Cid,
}

impl<'a> WithCid<'a> {
    /// The ID `number`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none.
    pub(crate) fn new(caller: &'a Caller, number: c_int) -> Result<Self> {
        let cid = Cid::new(number)?;

        Ok(Self { caller, cid })
    }

    /// See [`Target::look_again`](crate::target::Target::look_again). Waits for those who may have
    /// been in the way.
    pub(crate) fn look_again(&self) -> Result {
        exclude::wait_for_cids(self.caller)
    }

    /// See [`Target::run`](crate::target::Target::run).
    pub(crate) fn run<S: Section>(&self, section: &S) -> Result<Reached<S::Output>> {
        for _ in 0..TRIES {
            if let Some(output) = exclude::here_with_cid(self.caller, self.cid.number(), section) {
                return Ok(Reached::Ran(output, Exclusion::Local));
            }
            match exclude::with_cid(self.caller, self.cid, section) {
                Ok((output, CidOwner::None)) => {
                    return Ok(Reached::Ran(output, Exclusion::Taken));
                }
                Ok((output, CidOwner::Running)) => {
                    return Ok(Reached::Ran(output, Exclusion::Interrupt));
                }
                Err(_) => pause()?,
            }
        }
        Ok(Reached::Again)
    }
}
