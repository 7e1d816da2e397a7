// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! The operations that data structures are made of, by the names of `percpu-op.h`. Unsafe: they
//! work on addresses. Nothing here allocates.
//!
//! Each tries a restartable sequence, once. If that was aborted, or the thread has another index,
//! it does the same by cpu_opv(2) for the index that was named. Where the kernel does not have
//! that, the sequence is tried again, a bounded number of times.
//!
//! All words at an address are changed by these operations alone, for always the same index.

use crate::arch::{self, ABORTED, DIFFERENT, DONE};
use crate::area;
use crate::cpu_opv::{self, Op};
use crate::{Error, Index};

/// How often a sequence is tried where there is nothing else.
const TRIES: u32 = 100;

/// How often a thread reads a word and tries to change it before it gives up.
const RACES: u32 = 1000;

#[inline(always)]
fn run<I: Index>(
    index: u32,
    sequence: impl Fn(isize) -> u32,
    vector: impl Fn() -> Result<bool, Error>,
) -> Result<bool, Error> {
    let area = area::fast::<I>();
    let status = if area == 0 { ABORTED } else { sequence(area) };
    match status {
        DONE => Ok(true),
        DIFFERENT => Ok(false),
        _ => slow::<I>(index, area != 0, &sequence, &vector),
    }
}

#[cold]
fn slow<I: Index>(
    index: u32,
    mut tried: bool,
    sequence: &dyn Fn(isize) -> u32,
    vector: &dyn Fn() -> Result<bool, Error>,
) -> Result<bool, Error> {
    let area = area::decide::<I>();
    let mut result = Err(Error::Unavailable);
    for _ in 0..TRIES {
        if area != 0 && !tried {
            match sequence(area) {
                DONE => return Ok(true),
                DIFFERENT => return Ok(false),
                _ => {}
            }
        }
        tried = false;
        if cpu_opv::available::<I>() {
            return vector();
        }
        if area == 0 {
            break;
        }
        if I::current() != index {
            return Err(Error::Elsewhere);
        }
        result = Err(Error::Aborted);
    }
    result
}

/// Adds `count` to `*v`.
///
/// # Safety
///
/// `v` is an aligned word that can be read and written.
#[inline(always)]
pub unsafe fn addv<I: Index>(v: *mut isize, count: isize, index: u32) -> Result<(), Error> {
    run::<I>(
        index,
        // SAFETY: By contract.
        |area| unsafe { arch::addv::<I>(area, v, count, index) },
        // SAFETY: By contract.
        || unsafe { cpu_opv::run::<I>(&[Op::add(v, count)], index) },
    )
    .map(drop)
}

/// Stores `newv` if `*v` equals `expect`. Answers whether it did.
///
/// # Safety
///
/// As for [`addv()`].
#[inline(always)]
pub unsafe fn cmpeqv_storev<I: Index>(
    v: *mut usize,
    expect: usize,
    newv: usize,
    index: u32,
) -> Result<bool, Error> {
    run::<I>(
        index,
        // SAFETY: By contract.
        |area| unsafe { arch::cmpeqv_storev::<I>(area, v, expect, newv, index) },
        // SAFETY: By contract.
        || unsafe { cpu_opv::run::<I>(&[Op::eq(v, &expect), Op::store(v, &newv)], index) },
    )
}

/// Unless `*v` equals `expectnot`, stores to `*v` what is `voffp` bytes behind where it points, and
/// answers what it was: takes the first node off a list.
///
/// # Safety
///
/// As for [`addv()`]; and whatever else is in `*v` points to where, `voffp` bytes behind, a word
/// can be read as long as it is there.
#[inline(always)]
pub unsafe fn cmpnev_storeoffp_load<I: Index>(
    v: *mut usize,
    expectnot: usize,
    voffp: isize,
    index: u32,
) -> Result<Option<usize>, Error> {
    let load = core::cell::Cell::new(expectnot);
    let done = run::<I>(
        index,
        |area| {
            // SAFETY: By contract.
            let (status, value) =
                unsafe { arch::cmpnev_storeoffp_load::<I>(area, v, expectnot, voffp, index) };
            load.set(value);
            status
        },
        || {
            for _ in 0..RACES {
                // SAFETY: By contract.
                let head = unsafe { v.read_volatile() };
                load.set(head);
                if head == expectnot {
                    return Ok(false);
                }
                let next = head.wrapping_add_signed(voffp) as *const usize;
                let vector = [Op::eq(v, &head), Op::store_guess(v, next)];
                // SAFETY: The kernel reads there only while the head has not changed.
                if unsafe { cpu_opv::run::<I>(&vector, index) }? {
                    return Ok(true);
                }
            }
            Err(Error::Again)
        },
    )?;
    Ok(done.then(|| load.get()))
}

/// If `*v` equals `expect`, copies `len` bytes, then stores `newv`. Answers whether it did.
///
/// # Safety
///
/// As for [`addv()`]; and `len` bytes, at most 4096, can be read at `src` and written at `dst`. What
/// is at `dst` does not matter if this is not done: an attempt can have written there.
#[inline(always)]
pub unsafe fn cmpeqv_memcpy_storev<I: Index>(
    v: *mut usize,
    expect: usize,
    dst: *mut u8,
    src: *const u8,
    len: usize,
    newv: usize,
    index: u32,
) -> Result<bool, Error> {
    run::<I>(
        index,
        // SAFETY: By contract.
        |area| unsafe {
            arch::cmpeqv_memcpy_storev::<I>(area, v, expect, dst, src, len, newv, index)
        },
        || {
            let vector = [
                Op::eq(v, &expect),
                Op::memcpy(dst, src, len),
                Op::store(v, &newv),
            ];
            // SAFETY: By contract.
            unsafe { cpu_opv::run::<I>(&vector, index) }
        },
    )
}

/// Stores `newv`, and answers what was there.
///
/// # Safety
///
/// As for [`addv()`].
pub unsafe fn exchange<I: Index>(v: *mut usize, newv: usize, index: u32) -> Result<usize, Error> {
    // Cheap, because it has a single store, but the thread that has the index can be faster.
    for _ in 0..4 {
        // SAFETY: By contract.
        let old = unsafe { v.read_volatile() };
        // SAFETY: By contract.
        if old == newv || unsafe { cmpeqv_storev::<I>(v, old, newv, index) }? {
            return Ok(old);
        }
    }
    let mut old = 0;
    // SAFETY: By contract.
    match unsafe { cpu_opv::run::<I>(&[Op::store(&mut old, v), Op::store(v, &newv)], index) } {
        Ok(_) => Ok(old),
        // By sequences alone, others cannot be faster: something is wrong with the machine.
        Err(Error::Unavailable) => Err(Error::Again),
        Err(error) => Err(error),
    }
}

/// Copies the words from `v` on to `old`, and stores 0 to them, all at once: for an index that the
/// thread need not have, by cpu_opv(2) alone.
///
/// # Safety
///
/// As for [`addv()`], for each of the words.
pub unsafe fn take<I: Index>(v: *mut usize, old: &mut [usize], index: u32) -> Result<(), Error> {
    static ZEROES: [usize; WORDS] = [0; WORDS];
    const WORDS: usize = cpu_opv::VECTOR_LEN_MAX / 2 / size_of::<usize>();

    assert!(old.len() <= WORDS, "more words than a vector can have");
    let len = size_of_val(old);
    let (copy, clear) = (
        Op::memcpy(old.as_mut_ptr().cast(), v.cast(), len),
        Op::memcpy(v.cast(), ZEROES.as_ptr().cast(), len),
    );
    // SAFETY: By contract.
    unsafe { cpu_opv::run::<I>(&[copy, clear], index) }.map(drop)
}

/// Does `operation` for the index that the thread has. What has no way to do that for an index
/// that the thread has lost meanwhile, or must not, does it for the next one.
#[inline(always)]
pub fn here<I: Index, T>(mut operation: impl FnMut(u32) -> Result<T, Error>) -> Result<T, Error> {
    let mut result = Err(Error::Again);
    for _ in 0..TRIES {
        result = operation(I::current());
        if !matches!(result, Err(Error::Elsewhere | Error::Unreachable)) {
            break;
        }
    }
    result
}

/// What [`pop_here()`] and [`push_here()`] answer where they do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDone {
    /// The list has no node, or as many as it may have.
    Limit,
    /// The sequence was aborted, or the thread uses none. There is no fallback: the caller has
    /// another way.
    Aborted,
}

/// The number of nodes in a list of [`push_here()`], by its head, and the address of the first.
pub fn split(head: usize) -> (usize, usize) {
    (head >> 48, head & ((1 << 48) - 1))
}

/// The head of a list of that many nodes: [`split()`], backwards.
pub fn join(count: usize, first: usize) -> usize {
    count << 48 | first
}

#[inline(always)]
fn here_area<I: Index>() -> isize {
    match area::fast::<I>() {
        0 => area::decide::<I>(),
        area => area,
    }
}

/// Takes the first node off the list of the index that the thread has. Its first word is the head
/// of the rest.
///
/// # Safety
///
/// `head` is that of index 0; those of others are `1 << SHIFT` bytes apart. They are words that
/// only operations for their index change, and are 0 or the heads of lists.
#[inline(always)]
pub unsafe fn pop_here<I: Index, const SHIFT: u32>(head: *mut usize) -> Result<usize, NotDone> {
    let area = here_area::<I>();
    if area == 0 {
        return Err(NotDone::Aborted);
    }
    // SAFETY: By contract.
    match unsafe { arch::pop_here::<I, SHIFT>(area, head) } {
        0 => Err(NotDone::Limit),
        1 => Err(NotDone::Aborted),
        node => Ok(node),
    }
}

/// Puts a node on the list of the index that the thread has, unless it has `limit` already.
///
/// # Safety
///
/// As for [`pop_here()`]; and the node is the caller's, is below address 2⁴⁸, and has a word that is
/// the list's.
#[inline(always)]
pub unsafe fn push_here<I: Index, const SHIFT: u32>(
    head: *mut usize,
    node: usize,
    limit: usize,
) -> Result<(), NotDone> {
    let area = here_area::<I>();
    if area == 0 {
        return Err(NotDone::Aborted);
    }
    // SAFETY: By contract.
    match unsafe { arch::push_here::<I, SHIFT>(area, head, node, limit) } {
        DONE => Ok(()),
        DIFFERENT => Err(NotDone::Limit),
        _ => Err(NotDone::Aborted),
    }
}

/// Has the thread decide again whether it uses sequences: after [`NotDone::Aborted`]. A thread that
/// nobody registered is so then.
pub fn retry<I: Index>() -> bool {
    area::decide::<I>() != 0
}
