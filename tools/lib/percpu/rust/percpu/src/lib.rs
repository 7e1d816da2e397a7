// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#![doc = include_str!("../README.md")]

mod arch;
mod area;
mod counter;
mod cpu_opv;
mod error;
mod free_list;
mod histogram;
mod index;
pub mod op;
mod ring;
mod slots;

pub use area::{registration, Registration};
pub use counter::Counter;
pub use cpu_opv::available as cpu_opv_available;
pub use error::Error;
pub use free_list::{Drained, FreeList, Node};
pub use histogram::{Histogram, BUCKETS};
pub use index::{count, Cid, Cpu, Index};
pub use ring::{PushError, Ring};
pub use slots::PerCpu;

fn errno() -> i32 {
    // SAFETY: The address of this thread's errno.
    unsafe { *libc::__errno_location() }
}

fn set_errno(errno: i32) {
    // SAFETY: As above.
    unsafe { *libc::__errno_location() = errno };
}

/// A variable of the environment, or nothing. Unlike std::env::var(), allocates nothing.
fn environment(name: &core::ffi::CStr) -> &'static [u8] {
    // SAFETY: The name ends with a zero byte. What is found stays, unless the program changes its
    // environment, which must not happen beside other threads.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        if value.is_null() {
            return b"";
        }
        core::ffi::CStr::from_ptr(value).to_bytes()
    }
}
