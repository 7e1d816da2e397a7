// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! Whether caches are used, or each block is checked: decided once, when the environment is there.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicU8, Ordering::*};

use crate::segment::{self, PAGE};
use crate::{cache, central, class, heap, os, reclaim};

const UNDECIDED: u32 = 0;
const DECIDING: u32 = 1;
const CACHES: u32 = 2;
const CHECKED: u32 = 3;

static MODE: AtomicU32 = AtomicU32::new(UNDECIDED);

extern "C" {
    static environ: *const *const libc::c_char;
}

/// Whether caches are not used: by `PERCPU_MALLOC_DEBUG=1`, and as long as that is not known.
pub(crate) fn checked() -> bool {
    match MODE.load(Acquire) {
        CACHES => false,
        UNDECIDED => decide(),
        _ => true,
    }
}

fn decide() -> bool {
    // SAFETY: An aligned word. It is NULL until the C library is initialized.
    if unsafe { (&raw const environ).read_volatile() }.is_null()
        || MODE
            .compare_exchange(UNDECIDED, DECIDING, AcqRel, Relaxed)
            .is_err()
    {
        return true;
    }
    // SAFETY: The handlers are there as long as the program; the name ends with a zero byte.
    let debug = unsafe {
        let alone = libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr());
        SINGLE_THREADED.store(alone.cast(), Relaxed);
        libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_child));
        let value = libc::getenv(c"PERCPU_MALLOC_DEBUG".as_ptr());
        !value.is_null() && *value != 0 && *value as u8 != b'0'
    };
    if debug {
        MODE.store(CHECKED, Release);
    } else {
        heap::use_caches();
        MODE.store(CACHES, Release);
    }
    debug
}

/// The word and the bit that tell whether a block is in use.
fn live(block: usize) -> (&'static AtomicU64, u64) {
    let segment = segment::of(block);
    let page = segment::page_of(segment, block);
    let n = block % PAGE / 16;
    // SAFETY: The segment of a block is there; these words are used as atomics alone.
    let word = unsafe { AtomicU64::from_ptr(&raw mut (*segment).live[page][n / 64]) };
    (word, 1 << (n % 64))
}

pub(crate) fn taken(block: usize) {
    if block != 0 {
        let (word, bit) = live(block);
        word.fetch_or(bit, Relaxed);
    }
}

pub(crate) const NO_BLOCK: &str = "percpu-malloc: free() of what is no block in use\n";

pub(crate) fn given(class: usize, block: usize) {
    let (word, bit) = live(block);
    if block % PAGE % class::size(class) != 0 || word.fetch_and(!bit, Relaxed) & bit == 0 {
        os::die(NO_BLOCK);
    }
}

/// The C library's variable that tells whether the program has no threads; NULL is not known.
static SINGLE_THREADED: AtomicPtr<AtomicU8> = AtomicPtr::new(core::ptr::null_mut());
/// It was so at fork(2). In the hands of who has the locks.
static WAS_ALONE: AtomicBool = AtomicBool::new(false);

/// In the child, what is behind the caches is whole, because nobody held a lock.
extern "C" fn before_fork() {
    central::acquire();
    segment::acquire();
    // SAFETY: The variable stays where it is.
    let alone = unsafe { SINGLE_THREADED.load(Relaxed).as_ref() };
    WAS_ALONE.store(alone.is_some_and(|alone| alone.load(Relaxed) != 0), Relaxed);
}

extern "C" fn after_fork() {
    segment::release();
    central::release();
}

extern "C" fn in_child() {
    let alone = WAS_ALONE.load(Relaxed);
    after_fork();
    reclaim::forked();
    if !alone {
        cache::forget();
    }
}
