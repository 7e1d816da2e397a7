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

/// How often a caller waits for those who may be in its way, before it is told to try again.
const LOOKS: usize = 1024;

/// A concurrency ID of the caller's address space.
pub(crate) struct WithCid<'a> {
    caller: &'a Caller,
    cid: Cid,
    /// How often the caller may still look again.
    looks: usize,
}

impl<'a> WithCid<'a> {
    /// The ID `number`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none.
    pub(crate) fn new(caller: &'a Caller, number: c_int) -> Result<Self> {
        Ok(Self {
            caller,
            cid: Cid::new(number)?,
            looks: LOOKS,
        })
    }
}

impl Target for WithCid<'_> {
    /// Waits for those who may have been in the way. `EAGAIN` if that was in vain too often.
    fn look_again(&mut self) -> Result {
        self.looks = self.looks.checked_sub(1).ok_or(EAGAIN)?;
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
