// SPDX-License-Identifier: GPL-2.0

//! The layout of what user space and the kernel share.
//!
//! Source: [`include/uapi/linux/rseq.h`](srctree/include/uapi/linux/rseq.h). Little endian
//! only, because of the fields that are written as one word.

use core::mem::offset_of;
use kernel::uapi;

/// Offsets in bytes of the fields of the registered area, `struct rseq`.
pub(crate) mod area {
    use super::*;

    /// `u32`: the CPU to start a critical section with; always the number of a possible CPU.
    pub(crate) const CPU_ID_START: usize = offset_of!(uapi::rseq, cpu_id_start);
    /// `u32`: the current CPU, or one of the `RSEQ_CPU_ID_*`.
    pub(crate) const CPU_ID: usize = offset_of!(uapi::rseq, cpu_id);
    /// `u64`: address of the descriptor of the current critical section, or 0.
    pub(crate) const RSEQ_CS: usize = offset_of!(uapi::rseq, rseq_cs);
    /// `u32`: whether the slice extension is available and enabled.
    pub(crate) const FLAGS: usize = offset_of!(uapi::rseq, flags);
    /// `u32`: the current NUMA node.
    pub(crate) const NODE_ID: usize = offset_of!(uapi::rseq, node_id);
    /// `u32`: the current concurrency ID of the memory map.
    pub(crate) const MM_CID: usize = offset_of!(uapi::rseq, mm_cid);
    /// `u32`: request and grant of a slice extension. Not in version 1.
    pub(crate) const SLICE_CTRL: usize = offset_of!(uapi::rseq, slice_ctrl);
    /// The size of all fields together, which is `AT_RSEQ_FEATURE_SIZE`.
    pub(crate) const FEATURE_SIZE: usize = offset_of!(uapi::rseq, end);

    /// The size of the original area, version 1, and its alignment.
    pub(crate) const ORIG_SIZE: usize = 32;
    /// The alignment of larger areas, `AT_RSEQ_ALIGN`.
    pub(crate) const ALIGN: usize = FEATURE_SIZE.next_power_of_two();

    // The ABI, which does not change.
    const _: () = assert!(CPU_ID_START == 0 && CPU_ID == 4 && RSEQ_CS == 8 && FLAGS == 16);
    const _: () = assert!(NODE_ID == 20 && MM_CID == 24 && SLICE_CTRL == 28);

    // Written as one word.
    const _: () = assert!(SLICE_CTRL == MM_CID + 4 && MM_CID % 8 == 0);
    const _: () = assert!(cfg!(target_endian = "little"));

    // Version 1 ends before the fields that it must not see written, and no area crosses a page.
    const _: () = assert!(SLICE_CTRL + 4 == ORIG_SIZE);
    const _: () = assert!(FEATURE_SIZE > ORIG_SIZE && FEATURE_SIZE <= ALIGN);
}

/// Offsets in bytes of the fields of a descriptor, `struct rseq_cs`.
pub(crate) mod descriptor {
    use super::*;

    /// `u32` version and `u32` flags, both 0, as one word.
    pub(crate) const HEAD: usize = offset_of!(uapi::rseq_cs, version);
    /// `u64`: address of the first instruction.
    pub(crate) const START_IP: usize = offset_of!(uapi::rseq_cs, start_ip);
    /// `u64`: length in bytes.
    pub(crate) const POST_COMMIT_OFFSET: usize = offset_of!(uapi::rseq_cs, post_commit_offset);
    /// `u64`: where to continue when the section has been interrupted.
    pub(crate) const ABORT_IP: usize = offset_of!(uapi::rseq_cs, abort_ip);

    // The ABI, which does not change.
    const _: () = assert!(HEAD == 0 && offset_of!(uapi::rseq_cs, flags) == 4);
    const _: () = assert!(START_IP == 8 && size_of::<uapi::rseq_cs>() == 32);

    // Read as one array.
    const _: () = assert!(POST_COMMIT_OFFSET == START_IP + 8 && ABORT_IP == START_IP + 16);
}

/// The size in bytes of the signature before the abort address.
pub(crate) const SIG_SIZE: u64 = 4;

/// `rseq::cpu_id` of an area that is not registered.
pub(crate) const CPU_ID_UNINITIALIZED: u32 =
    uapi::rseq_cpu_id_state_RSEQ_CPU_ID_UNINITIALIZED as u32;

/// Flags of rseq(2).
pub(crate) const FLAG_UNREGISTER: i32 = uapi::rseq_flags_RSEQ_FLAG_UNREGISTER as i32;
pub(crate) const FLAG_SLICE_EXT_DEFAULT_ON: i32 =
    uapi::rseq_flags_RSEQ_FLAG_SLICE_EXT_DEFAULT_ON as i32;

/// Flags in the `flags` field of the area.
#[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
pub(crate) const CS_FLAG_SLICE_EXT_AVAILABLE: u32 =
    uapi::rseq_cs_flags_RSEQ_CS_FLAG_SLICE_EXT_AVAILABLE;
#[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
pub(crate) const CS_FLAG_SLICE_EXT_ENABLED: u32 =
    uapi::rseq_cs_flags_RSEQ_CS_FLAG_SLICE_EXT_ENABLED;

/// The version of the ABI that a task registered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// The original area of 32 bytes. The IDs are written after every context switch, and nothing
    /// after `mm_cid` is ever touched.
    V1 = 1,
    /// A larger area. The IDs are written when they change, and are read-only for user space.
    V2 = 2,
}

/// What identifies where a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) cpu_id: u32,
    pub(crate) node_id: u32,
    pub(crate) mm_cid: u32,
}

impl Ids {
    /// The word that holds `mm_cid`, and `slice_ctrl` without request and grant.
    #[inline(always)]
    pub(crate) const fn mm_cid_and_slice_ctrl(self) -> u64 {
        self.mm_cid as u64
    }
}
