// SPDX-License-Identifier: GPL-2.0

//! Reading a vector from user memory.

use crate::{
    abi::RawOp,
    op::Vector, //
};
use kernel::{
    prelude::*,
    uaccess::{
        access::UserRegion,
        UserPtr, //
    }, //
};

/// Where the operations of a vector are in user memory.
#[derive(Clone, Copy)]
pub(crate) struct UserVector {
    pub(crate) start: UserPtr,
    pub(crate) len: usize,
}

impl UserVector {
    /// Reads the operations to `vector`. Their addresses have no tags any more.
    ///
    /// By words: most vectors are too short for a string instruction, as copies use, to pay.
    ///
    /// # Errors
    ///
    /// `EFAULT` if one cannot be read; those of [`Vector::set`].
    #[inline(always)]
    pub(crate) fn read(self, vector: &mut Vector) -> Result {
        {
            // SAFETY: The only region here, and nothing is called in it.
            let region = unsafe { UserRegion::open() };
            let next = self.start;

            vector.set(self.len, RawOps { region, next })?;
        }
        vector.untag();
        Ok(())
    }
}

/// The operations from `next` on.
struct RawOps {
    region: UserRegion,
    next: UserPtr,
}

impl Iterator for RawOps {
    type Item = Result<RawOp>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let op = self
            .region
            .window(self.next)
            .and_then(|op| op.read::<RawOp, 0>());

        self.next = self.next.wrapping_byte_add(size_of::<RawOp>());
        Some(op.map_err(Error::from))
    }
}
