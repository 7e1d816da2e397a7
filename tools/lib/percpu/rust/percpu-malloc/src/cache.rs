// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! A list of free blocks for each concurrency ID and class. Its head, one word, is all there is: a
//! sequence that changes it changes everything, and so does a vector of cpu_opv(2). Whoever has the
//! ID pays nothing for that others can take the list.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use percpu::op::{self, NotDone};
use percpu::{Cid, Error, Index};

use crate::class;

/// Linux has at most 8192 CPUs, and no more IDs. What is not used costs no memory.
const IDS: usize = 8192;
/// 512 bytes for each ID.
const SHIFT: u32 = 9;

#[repr(align(512))]
struct Heads([AtomicUsize; 1 << SHIFT >> 3]);

static CACHES: [Heads; IDS] =
    [const { Heads([const { AtomicUsize::new(0) }; 1 << SHIFT >> 3]) }; IDS];

const _: () = assert!(class::COUNT <= 1 << SHIFT >> 3);

/// The address of the word is also that of the first of a row.
fn head(id: usize, class: usize) -> *mut usize {
    CACHES[id].0[class].as_ptr()
}

#[inline(always)]
fn first(class: usize) -> *mut usize {
    (&raw const CACHES)
        .cast::<usize>()
        .wrapping_add(class)
        .cast_mut()
}

#[inline(always)]
pub(crate) fn pop(class: usize) -> Result<usize, NotDone> {
    // SAFETY: The heads of this class; all that use them are here.
    unsafe { op::pop_here::<Cid, SHIFT>(first(class)) }
}

/// # Safety
///
/// A block of that class that nobody uses.
#[inline(always)]
pub(crate) unsafe fn push(class: usize, block: usize, limit: usize) -> Result<(), NotDone> {
    // SAFETY: As above, and by contract.
    unsafe { op::push_here::<Cid, SHIFT>(first(class), block, limit) }
}

/// Puts a chain into the cache that the thread has, if that is empty.
///
/// # Safety
///
/// A list of blocks of that class that nobody uses.
pub(crate) unsafe fn fill(class: usize, chain: usize) -> bool {
    let id = Cid::current();
    // SAFETY: As above.
    let done = unsafe { op::cmpeqv_storev::<Cid>(head(id as usize, class), 0, chain, id) };
    done == Ok(true)
}

/// Takes all that the cache of an ID has, whoever has the ID: a list, 0 if there is none.
pub(crate) fn drain(id: usize, class: usize) -> Result<usize, Error> {
    // SAFETY: As above.
    unsafe { op::exchange::<Cid>(head(id, class), 0, id as u32) }
}

/// Takes what the caches of all classes have, in one call.
pub(crate) fn drain_all(id: usize) -> Result<[usize; class::COUNT], Error> {
    let mut lists = [0; class::COUNT];
    // SAFETY: As above; the heads of an ID are in a row.
    unsafe { op::take::<Cid>(head(id, 0), &mut lists, id as u32) }?;
    Ok(lists)
}

/// What the cache of an ID has at the moment, without touching it.
pub(crate) fn look(id: usize, class: usize) -> usize {
    CACHES[id].0[class].load(Relaxed)
}

pub(crate) fn ids() -> usize {
    percpu::count().min(IDS)
}

/// In a child of fork(2), where nobody else is: what other threads changed while memory was copied
/// may have been copied in parts. The blocks are lost to the child.
pub(crate) fn forget() {
    for heads in &CACHES[..ids()] {
        for head in &heads.0 {
            // Pages that were not used stay so.
            if head.load(Relaxed) != 0 {
                head.store(0, Relaxed);
            }
        }
    }
}
