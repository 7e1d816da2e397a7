// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! Takes back what caches have that nobody uses: those of IDs that are idle, or whose CPUs went
//! offline. A thread that is pinned to one CPU does it, by cpu_opv(2), for all IDs. Whoever has the
//! ID does nothing for that.

use core::sync::atomic::{AtomicBool, Ordering::*};

use percpu::op;

use crate::{cache, central, class, os, segment};

/// A cache that has not changed for so long is taken back. If there is nothing to do, again and
/// again, the thread sleeps longer: whoever fills a cache does not wake it.
const PERIOD_MS: u32 = 200;
const LONGEST_MS: u32 = 6400;

/// The thread is there.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Takes back what all caches have. Answers how many bytes. On kernels without cpu_opv(2), those of
/// the own ID alone.
pub(crate) fn all() -> usize {
    let bytes = (0..cache::ids()).map(of_id).sum();
    central::clean();
    segment::clean();
    bytes
}

fn of_id(id: usize) -> usize {
    let used = (1..class::COUNT).any(|class| cache::look(id, class) != 0);
    match if used { cache::drain_all(id) } else { return 0 } {
        Ok(lists) => lists
            .into_iter()
            .enumerate()
            .map(|(class, list)| give_back(class, list))
            .sum(),
        Err(_) => (1..class::COUNT).map(|class| of_class(id, class)).sum(),
    }
}

fn of_class(id: usize, class: usize) -> usize {
    cache::drain(id, class).map_or(0, |list| give_back(class, list))
}

fn give_back(class: usize, list: usize) -> usize {
    if list != 0 {
        // SAFETY: A list of blocks that is ours.
        unsafe { central::give_back(class, list) };
    }
    op::split(list).0 * class::size(class)
}

/// How many bytes all caches have.
pub(crate) fn cached() -> usize {
    let ids = 0..cache::ids();
    ids.flat_map(|id| (1..class::COUNT).map(move |class| (id, class)))
        .map(|(id, class)| op::split(cache::look(id, class)).0 * class::size(class))
        .sum()
}

/// In a child of fork(2), which does not have our thread.
pub(crate) fn forked() {
    STARTED.store(false, Relaxed);
}

type Start = unsafe extern "C" fn(
    *mut libc::pthread_t,
    *const libc::pthread_attr_t,
    extern "C" fn(*mut libc::c_void) -> *mut libc::c_void,
    *mut libc::c_void,
) -> libc::c_int;

/// Before the program creates a thread: creates ours, once, with `create`, as pthread_create().
pub(crate) fn start(create: Start) {
    if STARTED.swap(true, AcqRel) || !percpu::cpu_opv_available::<percpu::Cid>() {
        return;
    }
    // SAFETY: Attributes are initialized before and destroyed after their use; signals are for the
    // threads of the program.
    unsafe {
        let mut attr = core::mem::zeroed();
        let (mut all, mut before) = (core::mem::zeroed(), core::mem::zeroed());
        let mut thread = 0;
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        libc::pthread_attr_init(&mut attr);
        libc::pthread_attr_setdetachstate(&mut attr, libc::PTHREAD_CREATE_DETACHED);
        libc::pthread_attr_setstacksize(&mut attr, 256 << 10);
        create(&mut thread, &attr, run, core::ptr::null_mut());
        libc::pthread_attr_destroy(&mut attr);
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, core::ptr::null_mut());
    }
}

extern "C" fn run(_: *mut libc::c_void) -> *mut libc::c_void {
    let ids = cache::ids();
    let size = (ids * class::COUNT * size_of::<usize>()).next_multiple_of(4096);
    // SAFETY: The set is initialized; the name ends with a zero byte; a mapping of zeroes has so
    // many numbers.
    let last = unsafe {
        let mut set: libc::cpu_set_t = core::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu().max(0) as usize, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
        libc::prctl(libc::PR_SET_NAME, c"percpu-malloc".as_ptr());
        match os::map(size, 4096) {
            Some(address) => {
                core::slice::from_raw_parts_mut(address as *mut usize, ids * class::COUNT)
            }
            None => return core::ptr::null_mut(),
        }
    };
    let mut sleep = PERIOD_MS;
    loop {
        // SAFETY: Whatever ends it, it is only a sleep.
        unsafe { libc::usleep(sleep * 1000) };
        let (taken, used) = round(ids, last);
        if taken > 0 || !used {
            central::clean();
            segment::clean();
        }
        let idle = taken == 0 && !used;
        sleep = if idle {
            LONGEST_MS.min(2 * sleep)
        } else {
            PERIOD_MS
        };
    }
}

/// Takes back caches that have not changed since the last round. Answers how many bytes, and
/// whether there are others.
fn round(ids: usize, last: &mut [usize]) -> (usize, bool) {
    let (mut taken, mut used) = (0, false);
    for (id, last) in (0..ids).zip(last.chunks_exact_mut(class::COUNT)) {
        let before: [usize; class::COUNT] = core::array::from_fn(|class| last[class]);
        last.iter_mut()
            .enumerate()
            .for_each(|(class, last)| *last = cache::look(id, class));
        if *last == before {
            // Idle: in one call.
            taken += of_id(id);
            continue;
        }
        used = true;
        for class in 1..class::COUNT {
            if last[class] != 0 && last[class] == before[class] {
                taken += of_class(id, class);
            }
        }
    }
    (taken, used)
}
