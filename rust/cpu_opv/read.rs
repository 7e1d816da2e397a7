// SPDX-License-Identifier: GPL-2.0

//! Reading a vector from user memory.

use crate::{
    abi::RawOp,
    op::Vector, //
};
use kernel::{
    prelude::*,
    uaccess::{
        access::{
            Fault,
            UserRegion, //
        },
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
            let next = self.start;
            #[cfg(not(CONFIG_KASAN))]
            // SAFETY: The only region here, and nothing is called in it.
            let region = unsafe { UserRegion::open() };
            #[cfg(not(CONFIG_KASAN))]
            let raw = RawOps { region, next };
            #[cfg(CONFIG_KASAN)]
            let raw = RawOps { next };

            vector.set(self.len, raw)?;
        }
        vector.untag();
        Ok(())
    }
}

/// The operations from `next` on.
///
/// In one region for all. With KASAN, copies of structures are calls, which must not happen in it: each
/// operation has a region of its own then.
struct RawOps {
    #[cfg(not(CONFIG_KASAN))]
    region: UserRegion,
    next: UserPtr,
}

impl RawOps {
    #[inline(always)]
    fn read(&self) -> Result<RawOp, Fault> {
        #[cfg(not(CONFIG_KASAN))]
        let region = &self.region;
        #[cfg(CONFIG_KASAN)]
        // SAFETY: The only region here, and nothing is called in it.
        let region = unsafe { UserRegion::open() };

        region.window(self.next)?.read::<RawOp, 0>()
    }
}

impl Iterator for RawOps {
    type Item = Result<RawOp>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let op = self.read();

        self.next = self.next.wrapping_byte_add(size_of::<RawOp>());
        Some(op.map_err(Error::from))
    }
}
