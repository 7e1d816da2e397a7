// SPDX-License-Identifier: GPL-2.0

//! The registered area in user memory, inside an open access region.

use crate::{
    abi::{
        area,
        Ids,
        CPU_ID_UNINITIALIZED, //
    },
    task::TaskRseq, //
};
use kernel::uaccess::{
    access::{
        Fault,
        UserRead,
        UserRegion,
        UserWindow, //
    },
    UserPtr, //
};

/// Opens an access region.
///
/// Whoever calls this drops the region in the same function, opens no second one, and calls nothing
/// but accesses inside; see [`kernel::uaccess::access`].
#[inline(always)]
pub(crate) fn open() -> UserRegion {
    // SAFETY: All callers are in this crate and do as it says above. objtool verifies that there is no
    // call, and that the region is closed.
    unsafe { UserRegion::open() }
}

/// Reads a word of user memory anywhere.
#[inline(always)]
pub(crate) fn read_user<T: UserRead, const OFF: usize>(address: u64) -> Result<T, Fault> {
    let region = open();

    region
        .window(UserPtr::from_addr(address as usize))?
        .read::<T, OFF>()
}

/// The area of the current task.
pub(crate) struct Area<'r>(UserWindow<'r>);

impl<'r> Area<'r> {
    /// Aims at the area that the current task has registered.
    ///
    /// It faults if there is none.
    #[inline(always)]
    pub(crate) fn registered(region: &'r UserRegion, rseq: &TaskRseq) -> Self {
        // SAFETY: Registration checked the address with `access_ok()`, for the whole length; what
        // that accepts is the same for all address spaces. Without a registration the address is 0,
        // in user space.
        Self(unsafe { region.window_unchecked(rseq.usrptr()) })
    }

    /// Aims at an area of `len` bytes that is about to be registered.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is not in user space. [`registered()`](Self::registered) relies on that.
    #[inline(always)]
    pub(crate) fn unregistered(
        region: &'r UserRegion,
        usrptr: UserPtr,
        len: u32,
    ) -> Result<Self, Fault> {
        if !usrptr.access_ok(len as usize) {
            return Err(Fault);
        }
        // SAFETY: Checked just now.
        Ok(Self(unsafe { region.window_unchecked(usrptr) }))
    }

    /// Returns whether the area holds `ids`, as it must if user space has not modified it.
    #[inline(always)]
    pub(crate) fn has_ids(&self, ids: Ids) -> Result<bool, Fault> {
        Ok(self.0.equals::<u32, { area::CPU_ID_START }>(ids.cpu_id)?
            && self.0.equals::<u32, { area::CPU_ID }>(ids.cpu_id)?
            && self.0.equals::<u32, { area::NODE_ID }>(ids.node_id)?
            && self.0.equals::<u32, { area::MM_CID }>(ids.mm_cid)?)
    }

    /// Writes `ids`, and nothing behind them.
    #[inline(always)]
    pub(crate) fn write_ids(&self, ids: Ids) -> Result<(), Fault> {
        self.write_cpu_and_node(ids)?;
        self.0.write::<u32, { area::MM_CID }>(ids.mm_cid)
    }

    /// Writes `ids`, and takes request and grant of a slice extension back.
    ///
    /// For areas of version 2 only.
    #[inline(always)]
    pub(crate) fn write_ids_and_slice_ctrl(&self, ids: Ids) -> Result<(), Fault> {
        self.write_cpu_and_node(ids)?;
        self.0
            .write::<u64, { area::MM_CID }>(ids.mm_cid_and_slice_ctrl())
    }

    #[inline(always)]
    fn write_cpu_and_node(&self, ids: Ids) -> Result<(), Fault> {
        self.0.write::<u32, { area::CPU_ID_START }>(ids.cpu_id)?;
        self.0.write::<u32, { area::CPU_ID }>(ids.cpu_id)?;
        self.0.write::<u32, { area::NODE_ID }>(ids.node_id)
    }

    /// Returns whether no critical section is announced.
    #[inline(always)]
    pub(crate) fn is_cs_null(&self) -> Result<bool, Fault> {
        self.0.is_zero::<u64, { area::RSEQ_CS }>()
    }

    /// Reads the address of the announced descriptor.
    #[inline(always)]
    pub(crate) fn cs(&self) -> Result<u64, Fault> {
        self.0.read::<u64, { area::RSEQ_CS }>()
    }

    /// Takes the announcement back.
    #[inline(always)]
    pub(crate) fn clear_cs(&self) -> Result<(), Fault> {
        self.0.clear::<u64, { area::RSEQ_CS }>()
    }

    /// Returns whether there is neither a request nor a grant of a slice extension.
    #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
    #[inline(always)]
    pub(crate) fn is_slice_ctrl_null(&self) -> Result<bool, Fault> {
        self.0.is_zero::<u32, { area::SLICE_CTRL }>()
    }

    /// Reads the request and grant of a slice extension.
    #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
    #[inline(always)]
    pub(crate) fn slice_ctrl(&self) -> Result<u32, Fault> {
        self.0.read::<u32, { area::SLICE_CTRL }>()
    }

    /// Takes request and grant of a slice extension back. For areas of version 2 only.
    #[inline(always)]
    pub(crate) fn clear_slice_ctrl(&self) -> Result<(), Fault> {
        self.0.clear::<u32, { area::SLICE_CTRL }>()
    }

    /// Writes the request and grant of a slice extension. For areas of version 2 only.
    #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
    #[inline(always)]
    pub(crate) fn set_slice_ctrl(&self, value: u32) -> Result<(), Fault> {
        self.0.write::<u32, { area::SLICE_CTRL }>(value)
    }

    /// Reads the flags.
    #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
    #[inline(always)]
    pub(crate) fn flags(&self) -> Result<u32, Fault> {
        self.0.read::<u32, { area::FLAGS }>()
    }

    /// Writes the flags.
    #[inline(always)]
    pub(crate) fn set_flags(&self, flags: u32) -> Result<(), Fault> {
        self.0.write::<u32, { area::FLAGS }>(flags)
    }

    /// Writes the IDs of an area that has just been registered: not known yet.
    #[inline(always)]
    pub(crate) fn init_ids(&self) -> Result<(), Fault> {
        self.write_ids_of(CPU_ID_UNINITIALIZED)
    }

    /// Writes the IDs of an area that is not registered any more.
    #[inline(always)]
    pub(crate) fn reset_ids(&self) -> Result<(), Fault> {
        self.write_ids_of(0)
    }

    #[inline(always)]
    fn write_ids_of(&self, cpu_id_start: u32) -> Result<(), Fault> {
        self.0.write::<u32, { area::CPU_ID_START }>(cpu_id_start)?;
        self.0
            .write::<u32, { area::CPU_ID }>(CPU_ID_UNINITIALIZED)?;
        self.0.clear::<u32, { area::NODE_ID }>()?;
        self.0.clear::<u32, { area::MM_CID }>()
    }
}
