// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! The C library's names.

use core::ffi::{c_int, c_void};

use crate::{heap, reclaim};

/// NULL and ENOMEM instead of 0.
#[inline(always)]
fn answer(block: usize) -> *mut c_void {
    if block == 0 {
        set_errno(libc::ENOMEM);
    }
    block as *mut c_void
}

#[cold]
fn set_errno(errno: c_int) {
    // SAFETY: The address of this thread's errno.
    unsafe { *libc::__errno_location() = errno };
}

#[no_mangle]
extern "C" fn malloc(size: usize) -> *mut c_void {
    answer(heap::alloc(size))
}

#[no_mangle]
extern "C" fn calloc(n: usize, size: usize) -> *mut c_void {
    answer(n.checked_mul(size).map_or(0, heap::alloc_zeroed))
}

#[no_mangle]
unsafe extern "C" fn free(block: *mut c_void) {
    if !block.is_null() {
        // SAFETY: As for free(3).
        unsafe { heap::free(block as usize) };
    }
}

#[no_mangle]
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return malloc(size);
    }
    if size == 0 {
        // SAFETY: As for realloc(3), which frees it in glibc.
        unsafe { heap::free(block as usize) };
        return core::ptr::null_mut();
    }
    // SAFETY: As for realloc(3).
    answer(unsafe { heap::realloc(block as usize, size) })
}

#[no_mangle]
unsafe extern "C" fn reallocarray(block: *mut c_void, n: usize, size: usize) -> *mut c_void {
    match n.checked_mul(size) {
        // SAFETY: As for reallocarray(3).
        Some(size) => unsafe { realloc(block, size) },
        None => answer(0),
    }
}

#[no_mangle]
extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    if !align.is_power_of_two() {
        set_errno(libc::EINVAL);
        return core::ptr::null_mut();
    }
    answer(heap::alloc_aligned(size, align))
}

#[no_mangle]
extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    aligned_alloc(align.checked_next_power_of_two().unwrap_or(0), size)
}

#[no_mangle]
unsafe extern "C" fn posix_memalign(to: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || align % size_of::<usize>() != 0 {
        return libc::EINVAL;
    }
    match heap::alloc_aligned(size, align) {
        0 => libc::ENOMEM,
        block => {
            // SAFETY: As for posix_memalign(3).
            unsafe { *to = block as *mut c_void };
            0
        }
    }
}

#[no_mangle]
extern "C" fn valloc(size: usize) -> *mut c_void {
    answer(heap::alloc_aligned(size, 4096))
}

#[no_mangle]
extern "C" fn pvalloc(size: usize) -> *mut c_void {
    answer(
        size.checked_next_multiple_of(4096)
            .map_or(0, |size| heap::alloc_aligned(size, 4096)),
    )
}

#[no_mangle]
unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    if block.is_null() {
        return 0;
    }
    // SAFETY: As for malloc_usable_size(3).
    unsafe { heap::usable(block as usize) }
}

/// Takes back what all caches have, of whatever CPU. 1 if there was something.
#[no_mangle]
extern "C" fn malloc_trim(_pad: usize) -> c_int {
    (reclaim::all() > 0) as c_int
}

/// How many bytes caches have that are free.
#[no_mangle]
extern "C" fn percpu_malloc_cached() -> usize {
    reclaim::cached()
}

type Create = unsafe extern "C" fn(
    *mut libc::pthread_t,
    *const libc::pthread_attr_t,
    extern "C" fn(*mut c_void) -> *mut c_void,
    *mut c_void,
) -> c_int;

/// Here, and not in malloc(), because it is no place where locks of the C library are held.
#[no_mangle]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attr: *const libc::pthread_attr_t,
    main: extern "C" fn(*mut c_void) -> *mut c_void,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: The C library has that function, with these arguments.
    unsafe {
        let next = libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr());
        if next.is_null() {
            return libc::EAGAIN;
        }
        let create: Create = core::mem::transmute(next);
        reclaim::start(create);
        create(thread, attr, main, arg)
    }
}
