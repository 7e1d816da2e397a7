// SPDX-License-Identifier: GPL-2.0

//! The registered area in user memory, inside an open access region.

use crate::{
    abi::{
        area,
        Ids,
        CPU_ID_UNINITIALIZED, //
    },
    slice,
    task::{
        Current,
        Failed,
        RseqData, //
    },
};
use kernel::uaccess::{
    access::{
        Fault,
        UserRegion,
        UserWindow, //
    },
    UserPtr, //
};

/// The area of the current task.
pub(crate) struct Area<'r>(UserWindow<'r>);

impl<'r> Area<'r> {
    /// Aims at the area that the current task has registered.
    ///
    /// It faults if there is none.
    #[inline(always)]
    pub(crate) fn registered(region: &'r UserRegion, data: &RseqData) -> Self {
        // SAFETY: Registration masked the address, and checked it with `access_ok()` for the whole
        // length; what that accepts is the same for all address spaces. Without a registration the
        // address is 0, in user space.
        Self(unsafe { region.window_unchecked(data.usrptr()) })
    }

    /// Aims at an area that is about to be registered, or at memory that faults if `usrptr` is not
    /// in user space.
    #[inline(always)]
    pub(crate) fn unregistered(region: &'r UserRegion, usrptr: UserPtr) -> Result<Self, Fault> {
        Ok(Self(region.window(usrptr)?))
    }

    /// Where it is.
    #[inline(always)]
    pub(crate) fn usrptr(&self) -> UserPtr {
        self.0.ptr()
    }

    /// Brings the fields up to date that user space only reads, and takes a slice extension back.
    ///
    /// The IDs are written if they have changed, then `ids` has them.
    ///
    /// # Errors
    ///
    /// Fatal if an area of version 2 does not hold the IDs that the kernel wrote last.
    #[inline(always)]
    pub(crate) fn update(&self, task: Current<'_>, ids: Option<Ids>) -> Result<(), Failed> {
        if task.data().is_v2() {
            self.update_v2(task, ids)
        } else {
            Ok(ids.map_or(Ok(()), |ids| self.write_ids(ids))?)
        }
    }

    #[inline(always)]
    fn update_v2(&self, task: Current<'_>, ids: Option<Ids>) -> Result<(), Failed> {
        if let Some(ids) = ids {
            if !self.has_ids(task.data().ids())? {
                return Err(task.die());
            }
            if slice::available() {
                self.write_ids_and_slice_ctrl(ids)?;
            } else {
                self.write_ids(ids)?;
            }
        } else if slice::available() {
            self.clear_slice_ctrl()?;
        }
        Ok(())
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
    fn write_ids(&self, ids: Ids) -> Result<(), Fault> {
        self.write_cpu_and_node(ids)?;
        self.0.write::<u32, { area::MM_CID }>(ids.mm_cid)
    }

    /// Writes `ids`, and takes request and grant of a slice extension back.
    ///
    /// For areas of version 2 only.
    #[inline(always)]
    fn write_ids_and_slice_ctrl(&self, ids: Ids) -> Result<(), Fault> {
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

    /// Reads the address of the announced descriptor; 0 if no critical section is announced.
    #[inline(always)]
    pub(crate) fn csaddr(&self) -> Result<u64, Fault> {
        // Mostly so, and cheaper than to read the word.
        if self.0.is_zero::<u64, { area::RSEQ_CS }>()? {
            return Ok(0);
        }
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
