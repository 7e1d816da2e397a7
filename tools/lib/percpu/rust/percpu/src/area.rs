// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! The thread's `struct rseq`: that of the C library, or one of our own.
//!
//! Both are at the same distance from the thread pointer in all threads, so that a sequence needs
//! one number. Nothing here allocates: allocators use it.

use core::sync::atomic::{AtomicIsize, AtomicU32, Ordering::Relaxed};

use crate::arch;
use crate::index::{Cpu, Index};

/// Offsets in `struct rseq`.
pub(crate) const CPU_ID: i32 = 4;
pub(crate) const RSEQ_CS: i32 = 8;
pub(crate) const MM_CID: i32 = 24;

/// The size of the first version of `struct rseq`, which has `mm_cid`.
pub(crate) const SIZE: u32 = 32;

/// `cpu_id` of a thread that did not try to register, and of one that failed.
const UNINITIALIZED: i32 = -1;
const FAILED: i32 = -2;

const AT_RSEQ_FEATURE_SIZE: libc::c_ulong = 27;

/// Who registered the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// The C library.
    LibC,
    /// This crate, since the C library does not.
    Own,
    /// Nobody: the kernel has no rseq(2), or something else holds the registration.
    None,
}

/// Where the areas of threads that try sequences are; 0 is not decided yet, or each thread for
/// itself, or that areas do not have the index.
pub struct Place(AtomicIsize);

impl Place {
    pub(crate) const fn new() -> Self {
        Place(AtomicIsize::new(0))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Policy {
    Undecided,
    Try,
    Never,
    /// Half of the threads try.
    InHalf,
}

static POLICY: AtomicU32 = AtomicU32::new(Policy::Undecided as u32);

/// Where the area of the thread is, or 0: then [`decide()`].
#[inline(always)]
pub(crate) fn fast<I: Index>() -> isize {
    I::place().0.load(Relaxed)
}

/// The index in the area, if the thread is registered.
#[inline]
pub(crate) fn index<I: Index>() -> Option<u32> {
    let mut area = fast::<I>();
    if area == 0 || cpu_id(area) < 0 {
        area = decide::<I>();
        if area == 0 {
            return None;
        }
    }
    // SAFETY: An area that decide() answers is in this thread's memory, and has the field.
    Some(unsafe { arch::load(area + I::FIELD as isize) })
}

fn cpu_id(area: isize) -> i32 {
    // SAFETY: Both areas there are, are in this thread's memory.
    unsafe { arch::load(area + CPU_ID as isize) as i32 }
}

/// Where the area of the thread is, or 0 if it is to use no sequences. Registers the thread if
/// nobody did.
#[cold]
pub(crate) fn decide<I: Index>() -> isize {
    // Those who free memory do not expect it to change.
    let errno = crate::errno();
    let area = decide_now::<I>();
    crate::set_errno(errno);
    area
}

fn decide_now<I: Index>() -> isize {
    let area = match policy() {
        Policy::Undecided | Policy::Never => return 0,
        Policy::InHalf if !chosen() => return 0,
        Policy::InHalf | Policy::Try => libc_area().unwrap_or_else(arch::own_area),
    };
    if cpu_id(area) == UNINITIALIZED && libc_area().is_none() {
        register(area);
    }
    if cpu_id(area) < 0 || size() < I::FIELD as u32 + 4 {
        return 0;
    }
    if policy() == Policy::Try {
        I::place().0.store(area, Relaxed);
    }
    area
}

/// Who registered this thread; tries to do it if nobody did.
pub fn registration() -> Registration {
    match decide::<Cpu>() {
        0 => Registration::None,
        _ if libc_area().is_some() => Registration::LibC,
        _ => Registration::Own,
    }
}

/// How much of an area the kernel knows. All registrations have 32 bytes at least, whatever
/// `__rseq_size` says: some versions of glibc count what they know themselves.
///
/// Asked for once: where areas have no `mm_cid`, each operation by that comes here.
fn size() -> u32 {
    static KNOWN: AtomicU32 = AtomicU32::new(0);

    let mut size = KNOWN.load(Relaxed);
    if size == 0 {
        // SAFETY: getauxval() has no preconditions. Kernels that do not tell know 20 bytes.
        size = unsafe { libc::getauxval(AT_RSEQ_FEATURE_SIZE) }.max(20) as u32;
        KNOWN.store(size, Relaxed);
    }
    size
}

/// The C library's, if it registers threads.
fn libc_area() -> Option<isize> {
    match arch::libc_size() {
        Some(0) | None => None,
        Some(_) => arch::libc_offset(),
    }
}

fn register(area: isize) {
    let address = arch::thread_pointer().wrapping_add_signed(area);
    // SAFETY: The area is in the static TLS block, which lives as long as the thread.
    let rc = unsafe { libc::syscall(libc::SYS_rseq, address, SIZE, 0, arch::SIGNATURE) };
    // A signal handler that was here meanwhile has registered the same area: that is EBUSY.
    if rc != 0 && crate::errno() != libc::EBUSY {
        // SAFETY: As above; the kernel does not write there.
        unsafe { arch::store(area + CPU_ID as isize, FAILED as u32) };
    }
}

extern "C" {
    static environ: *const *const libc::c_char;
}

fn policy() -> Policy {
    const KNOWN: [Policy; 3] = [Policy::Try, Policy::Never, Policy::InHalf];

    let known = POLICY.load(Relaxed);
    if let Some(policy) = KNOWN.into_iter().find(|policy| *policy as u32 == known) {
        return policy;
    }
    // SAFETY: An aligned word. It is NULL until the C library is initialized, before which
    // preloaded allocators are called.
    if unsafe { (&raw const environ).read_volatile() }.is_null() {
        return Policy::Undecided;
    }
    let policy = match crate::environment(c"RSEQ_DISABLE") {
        b"1" => Policy::Never,
        b"random" => Policy::InHalf,
        _ => Policy::Try,
    };
    POLICY.store(policy as u32, Relaxed);
    policy
}

/// For `RSEQ_DISABLE=random`: of two threads that ask one after the other, one tries sequences,
/// and which one is random.
fn chosen() -> bool {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    const YES: u32 = 1;
    const NO: u32 = 2;

    let choice = arch::own_choice();
    // SAFETY: A word of this thread that nothing else uses.
    match unsafe { arch::load(choice) } {
        YES => return true,
        NO => return false,
        _ => {}
    }
    let n = ASKED.fetch_add(1, Relaxed);
    // SAFETY: AT_RANDOM is the address of 16 bytes.
    let byte = unsafe {
        let bytes = libc::getauxval(libc::AT_RANDOM) as *const u8;
        *bytes.add((n / 16 % 16) as usize)
    };
    let yes = (u32::from(byte) >> (n / 2 % 8) ^ n) & 1 != 0;
    // SAFETY: As above.
    unsafe { arch::store(choice, if yes { YES } else { NO }) };
    yes
}
