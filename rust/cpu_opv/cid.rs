// SPDX-License-Identifier: GPL-2.0

//! Excluding a concurrency ID.

use crate::{
    target::{
        Reached,
        Target, //
    },
    way::Exclusion, //
};
use kernel::{
    exclude::{
        self,
        Caller,
        Cid,
        CidOwner,
        Place,
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
}

impl Target for WithCid<'_> {
    /// Waits for those who may have been in the way.
    fn look_again(&mut self) -> Result {
        exclude::wait_for_cids(self.caller)
    }

    #[inline]
    fn try_run<S: Section>(&self, section: &S, _: bool) -> Result<Option<Reached<S::Output>>> {
        let place = Place::Cid(self.cid.number());

        if let Some(output) = exclude::here(self.caller, place, section) {
            return Ok(Some(Reached::Ran(output, Exclusion::Local)));
        }
        let Ok((output, owner)) = exclude::with_cid(self.caller, self.cid, section) else {
            return Ok(None);
        };
        let exclusion = match owner {
            CidOwner::None => Exclusion::Taken,
            CidOwner::Running => Exclusion::Interrupt,
        };
        Ok(Some(Reached::Ran(output, exclusion)))
    }

    fn lost(&self) -> Error {
        EBUSY
    }

    fn go(&mut self) -> Result {
        Ok(())
    }
}
