// SPDX-License-Identifier: GPL-2.0

//! The state of rseq in a task, `task_struct::rseq`.
//!
//! All access to it goes through this file. The scheduler, other CPUs (while the task does not run)
//! and interrupts on this CPU write parts of it, so it is only ever seen through shared references to
//! cells, never through `&mut`.
//!
//! C header: [`include/linux/rseq_types.h`](srctree/include/linux/rseq_types.h)

use crate::abi::{
    Ids,
    Version, //
};
use core::{
    cell::{
        Cell,
        UnsafeCell, //
    },
    mem::{
        align_of,
        offset_of,
        size_of, //
    }, //
};
use kernel::{
    bindings,
    cpu::CpuId,
    interrupt::local_interrupt_disable,
    task::CurrentTask,
    uaccess::{
        access::Fault,
        UserPtr, //
    },
};

/// A flag that others write: the scheduler while the task does not run, interrupts while it does.
///
/// All accesses are volatile, of one byte.
#[repr(transparent)]
pub(crate) struct SharedFlag(UnsafeCell<u8>);

impl SharedFlag {
    #[inline(always)]
    pub(crate) fn get(&self) -> bool {
        // SAFETY: The reference is valid for reads. A byte is accessed at once.
        unsafe { self.0.get().read_volatile() != 0 }
    }

    #[inline(always)]
    pub(crate) fn set(&self, value: bool) {
        // SAFETY: As in `get()`, for writes.
        unsafe { self.0.get().write_volatile(value.into()) }
    }
}

/// What happened to the task since it was last in user mode.
///
/// C: `struct rseq_event`
#[repr(C, align(8))]
pub(crate) struct Event {
    /// The task was scheduled and needs an update before it returns to user mode.
    pub(crate) sched_switch: SharedFlag,
    /// The IDs in user memory may be outdated.
    pub(crate) ids_changed: SharedFlag,
    /// The task entered the kernel by an interrupt or exception. Written on entry and exit only.
    user_irq: Cell<u8>,
    _pad: Cell<u8>,
    /// 0 or the version of the registration.
    has_rseq: Cell<u8>,
    _pad2: Cell<u8>,
    /// User memory does not hold what it must.
    fatal: Cell<u8>,
    /// The slow path has to run.
    slowpath: Cell<u8>,
}

impl Event {
    /// The task entered the kernel by an interrupt or exception, and may be in a critical section.
    #[inline(always)]
    pub(crate) fn user_irq(&self) -> bool {
        self.user_irq.get() != 0
    }

    /// The version of the registration, if there is one.
    #[inline(always)]
    pub(crate) fn version(&self) -> Option<Version> {
        match self.has_rseq.get() {
            0 => None,
            1 => Some(Version::V1),
            _ => Some(Version::V2),
        }
    }

    /// Forgets about failures.
    pub(crate) fn clear_error(&self) {
        self.fatal.set(0);
        self.slowpath.set(0);
    }

    /// Takes `sched_switch`, and forgets everything but the registration and how the kernel was
    /// entered.
    ///
    /// The caller has disabled interrupts.
    fn take_sched_switch(&self) -> bool {
        let sched_switch = self.sched_switch.get();

        self.sched_switch.set(false);
        self.ids_changed.set(false);
        self.clear_error();
        sched_switch
    }
}

/// The state of the time slice extension.
///
/// C: `struct rseq_slice`
#[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
#[repr(C)]
pub(crate) struct Slice {
    enabled: Cell<u8>,
    /// The task runs on an extension. Read by the timer interrupt.
    pub(crate) granted: SharedFlag,
    /// When the extension ends, in ns of the monotonic clock.
    pub(crate) expires: Cell<u64>,
    yielded: Cell<u8>,
}

#[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
impl Slice {
    #[inline(always)]
    pub(crate) fn enabled(&self) -> bool {
        self.enabled.get() != 0
    }

    pub(crate) fn set_enabled(&self, enabled: bool) {
        self.enabled.set(enabled.into());
    }

    /// Records that the task gave the rest of its extension back.
    pub(crate) fn set_yielded(&self) {
        self.yielded.set(1);
    }

    /// Returns whether the task gave the rest of its extension back, and forgets it.
    pub(crate) fn take_yielded(&self) -> bool {
        self.yielded.replace(0) != 0
    }
}

/// The registration of a task and what is known about its area.
///
/// C: `struct rseq_data`
#[repr(C)]
pub(crate) struct RseqData {
    usrptr: Cell<UserPtr>,
    len: Cell<u32>,
    sig: Cell<u32>,
    pub(crate) event: Event,
    ids: CachedIds,
    #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
    pub(crate) slice: Slice,
}

/// The IDs that were last written to user memory.
///
/// C: `struct rseq_ids`
#[repr(C, align(8))]
struct CachedIds {
    cpu_id: Cell<u32>,
    mm_cid: Cell<u32>,
    node_id: Cell<u32>,
}

/// Where the area of a task is, how long it is, and what precedes its abort addresses.
#[derive(Clone, Copy)]
pub(crate) struct Registration {
    pub(crate) usrptr: UserPtr,
    pub(crate) len: u32,
    pub(crate) sig: u32,
}

impl RseqData {
    #[inline(always)]
    pub(crate) fn usrptr(&self) -> UserPtr {
        self.usrptr.get()
    }

    #[inline(always)]
    pub(crate) fn sig(&self) -> u32 {
        self.sig.get()
    }

    /// The current registration.
    pub(crate) fn registration(&self) -> Option<Registration> {
        let usrptr = self.usrptr();

        (!usrptr.as_const_ptr().is_null()).then(|| Registration {
            usrptr,
            len: self.len.get(),
            sig: self.sig.get(),
        })
    }

    /// Makes `registration` the current one.
    pub(crate) fn register(&self, registration: Registration, version: Version) {
        self.usrptr.set(registration.usrptr);
        self.len.set(registration.len);
        self.sig.set(registration.sig);
        self.event.has_rseq.set(version as u8);
    }

    /// Whether the area is of version 2.
    #[inline(always)]
    pub(crate) fn is_v2(&self) -> bool {
        self.event.has_rseq.get() > Version::V1 as u8
    }

    /// The IDs that were last written to user memory.
    #[inline(always)]
    pub(crate) fn ids(&self) -> Ids {
        Ids {
            cpu_id: self.ids.cpu_id.get(),
            node_id: self.ids.node_id.get(),
            mm_cid: self.ids.mm_cid.get(),
        }
    }

    /// Records that `ids` have been written to user memory.
    #[inline(always)]
    pub(crate) fn set_ids(&self, ids: Ids) {
        self.ids.cpu_id.set(ids.cpu_id);
        self.ids.node_id.set(ids.node_id);
        self.ids.mm_cid.set(ids.mm_cid);
    }
}

/// The area could not be brought up to date.
///
/// Either a page fault was not resolved, or user memory does not hold what it must; then the event
/// of the task says that it is fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

impl From<Fault> for Failed {
    #[inline(always)]
    fn from(_: Fault) -> Self {
        Failed
    }
}

/// The current task, as rseq sees it.
#[derive(Clone, Copy)]
pub(crate) struct Current<'t>(&'t CurrentTask);

impl<'t> Current<'t> {
    #[inline(always)]
    pub(crate) fn new(task: &'t CurrentTask) -> Self {
        Self(task)
    }

    /// Creates the value from the pointer that C passes around.
    ///
    /// # Safety
    ///
    /// `task` must be `current`, and `'t` must not outlive the call into the kernel.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(task: *mut bindings::task_struct) -> Self {
        // SAFETY: The layout of `struct task_struct` and `CurrentTask` is identical, and by the
        // safety requirements the task is the current one.
        Self(unsafe { &*task.cast() })
    }

    #[inline(always)]
    pub(crate) fn task(self) -> &'t CurrentTask {
        self.0
    }

    /// Its state of rseq.
    #[inline(always)]
    pub(crate) fn data(self) -> &'t RseqData {
        // SAFETY: The task is valid for `'t`. `RseqData` has the layout of the field (see the
        // assertions below), and consists of cells, which allow for the writes of others as long as
        // they are not parallel: everything but the shared flags is only written by the task itself.
        unsafe { &*(&raw const (*self.0.as_ptr()).rseq).cast() }
    }

    /// The CPU that the task runs on, or was just before it was preempted.
    #[inline(always)]
    pub(crate) fn cpu(self) -> CpuId {
        #[cfg(CONFIG_SMP)]
        // SAFETY: The task is valid; the scheduler does not write the field while the task runs.
        let cpu = unsafe { (&raw const (*self.0.as_ptr()).thread_info.cpu).read_volatile() };
        #[cfg(not(CONFIG_SMP))]
        let cpu = 0;

        // SAFETY: The scheduler has put the task on that CPU, hence it exists.
        unsafe { CpuId::from_u32_unchecked(cpu) }
    }

    /// The concurrency ID that the task has in its memory map.
    #[inline(always)]
    fn mm_cid(self) -> u32 {
        #[cfg(CONFIG_SCHED_MM_CID)]
        {
            // The bits that describe who owns the ID.
            const OWNER: u32 = bindings::RSEQ_MM_CID_OWNER;

            // SAFETY: The task is valid; the scheduler does not write the field while the task runs.
            let cid = unsafe { (&raw const (*self.0.as_ptr()).mm_cid.cid).read_volatile() };
            cid & !OWNER
        }
        #[cfg(not(CONFIG_SCHED_MM_CID))]
        self.cpu().as_u32()
    }

    /// The IDs that the task runs with now.
    ///
    /// They stay so while interrupts are disabled.
    #[inline(always)]
    pub(crate) fn current_ids(self) -> Ids {
        let cpu = self.cpu();

        Ids {
            cpu_id: cpu.as_u32(),
            node_id: cpu_to_node(cpu),
            mm_cid: self.mm_cid(),
        }
    }

    /// Takes the event that asks for an update, with the IDs at that moment.
    ///
    /// A preemption after that sets the event again.
    pub(crate) fn take_event(self) -> Option<Ids> {
        // Interrupts are off, in every configuration: see include/linux/interrupt_rc.h.
        let _irq = local_interrupt_disable();

        let ids = self.current_ids();
        self.data().event.take_sched_switch().then_some(ids)
    }

    /// Records that user memory does not hold what it must.
    #[inline(always)]
    pub(crate) fn die(self) -> Failed {
        self.data().event.fatal.set(1);
        Failed
    }

    /// Whether the task exits, and never returns to user mode.
    pub(crate) fn is_exiting(self) -> bool {
        // SAFETY: The task is valid; it is current, and only it changes this flag of its own.
        unsafe { (*self.0.as_ptr()).flags & bindings::PF_EXITING != 0 }
    }

    /// Forgets the registration.
    pub(crate) fn reset(self) {
        // SAFETY: The task is current.
        unsafe { bindings::rseq_reset(self.0.as_ptr()) };
    }
}

/// Has the IDs written before the current task returns to user mode.
pub(crate) fn force_update() {
    // SAFETY: Acts on the current task.
    unsafe { bindings::rseq_force_update() };
}

/// Kills the current task with `SIGSEGV`, unless it handles the signal.
pub(crate) fn force_sigsegv() {
    // SAFETY: Sends the signal to the current task, in its context.
    unsafe { bindings::force_sig(bindings::SIGSEGV as i32) };
}

/// The NUMA node of `cpu`.
#[inline(always)]
fn cpu_to_node(cpu: CpuId) -> u32 {
    #[cfg(CONFIG_USE_PERCPU_NUMA_NODE_ID)]
    // SAFETY: `numa_node` is a per-CPU variable, constant while the CPU is online.
    let node = unsafe { *kernel::percpu::per_cpu_ptr(&raw const bindings::numa_node, cpu) };
    #[cfg(not(CONFIG_NUMA))]
    let node = {
        let _ = cpu;
        0
    };
    #[cfg(all(CONFIG_NUMA, not(CONFIG_USE_PERCPU_NUMA_NODE_ID)))]
    // SAFETY: `cpu` exists.
    let node = unsafe { bindings::cpu_to_node(cpu.as_u32() as i32) };

    node as u32
}

// The layout of C.
const _: () = {
    use bindings::{
        rseq_data,
        rseq_event,
        rseq_ids, //
    };

    macro_rules! assert_offset {
        ($ours:ty, $our_field:ident, $theirs:ty, $($their_field:ident).+) => {
            assert!(offset_of!($ours, $our_field) == offset_of!($theirs, $($their_field).+));
        };
    }

    // Of what is used of it: bindgen does not see the alignment of each member.
    assert!(offset_of!(bindings::task_struct, rseq) == bindings::RSEQ_TASK_OFFSET as usize);
    assert!(offset_of!(bindings::task_struct, flags) == bindings::RSEQ_TASK_FLAGS as usize);
    #[cfg(CONFIG_SMP)]
    assert!(offset_of!(bindings::task_struct, thread_info.cpu) == bindings::RSEQ_TASK_CPU as usize);
    #[cfg(CONFIG_SCHED_MM_CID)]
    assert!(offset_of!(bindings::task_struct, mm_cid.cid) == bindings::RSEQ_TASK_MM_CID as usize);
    assert!(size_of::<bindings::task_struct>() == bindings::RSEQ_TASK_END as usize);

    assert!(size_of::<RseqData>() == size_of::<rseq_data>());
    assert!(align_of::<RseqData>() == align_of::<rseq_data>());
    assert_offset!(RseqData, usrptr, rseq_data, usrptr);
    assert_offset!(RseqData, len, rseq_data, len);
    assert_offset!(RseqData, sig, rseq_data, sig);
    assert_offset!(RseqData, event, rseq_data, event);
    assert_offset!(RseqData, ids, rseq_data, ids);

    assert!(size_of::<Event>() == size_of::<rseq_event>());
    assert!(align_of::<Event>() == align_of::<rseq_event>());
    assert!(offset_of!(Event, sched_switch) == bindings::RSEQ_EVENT_SCHED_SWITCH as usize);
    assert!(offset_of!(Event, ids_changed) == bindings::RSEQ_EVENT_IDS_CHANGED as usize);
    assert!(offset_of!(Event, user_irq) == bindings::RSEQ_EVENT_USER_IRQ as usize);
    assert!(offset_of!(Event, has_rseq) == bindings::RSEQ_EVENT_HAS_RSEQ as usize);
    assert!(offset_of!(Event, fatal) == bindings::RSEQ_EVENT_FATAL as usize);
    assert!(offset_of!(Event, slowpath) == bindings::RSEQ_EVENT_SLOWPATH as usize);

    assert!(size_of::<CachedIds>() == size_of::<rseq_ids>());
    assert!(align_of::<CachedIds>() == align_of::<rseq_ids>());
    assert!(offset_of!(CachedIds, cpu_id) == bindings::RSEQ_IDS_CPU_ID as usize);
    assert!(offset_of!(CachedIds, mm_cid) == bindings::RSEQ_IDS_MM_CID as usize);
    assert_offset!(CachedIds, node_id, rseq_ids, node_id);
};

#[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
const _: () = {
    use bindings::{
        rseq_data,
        rseq_slice, //
    };

    assert!(offset_of!(RseqData, slice) == offset_of!(rseq_data, slice));
    assert!(size_of::<Slice>() == size_of::<rseq_slice>());
    assert!(align_of::<Slice>() == align_of::<rseq_slice>());
    assert!(offset_of!(Slice, enabled) == bindings::RSEQ_SLICE_ENABLED as usize);
    assert!(offset_of!(Slice, granted) == bindings::RSEQ_SLICE_GRANTED as usize);
    assert!(offset_of!(Slice, expires) == offset_of!(rseq_slice, expires));
    assert!(offset_of!(Slice, yielded) == offset_of!(rseq_slice, yielded));
};
