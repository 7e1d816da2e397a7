// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! Why an operation was not done.

use core::fmt;

/// Why an operation was not done. No error leaves an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The thread can use no sequences, since it is not registered or `RSEQ_DISABLE` forbids it,
    /// and the kernel has no cpu_opv(2).
    Unavailable,
    /// The sequence was aborted again and again, as under a debugger that single-steps, and the
    /// kernel has no cpu_opv(2), by which it would come to an end.
    Aborted,
    /// The thread has another index than the one that was named. Only cpu_opv(2) can work on data
    /// of others, and the kernel does not have it.
    Elsewhere,
    /// Neither the affinity mask of the thread nor its cpuset has the CPU (`ENXIO`).
    Unreachable,
    /// The CPU is not to be disturbed (`EBUSY`): it is isolated, or runs a real-time thread.
    Busy,
    /// Others changed the data or the owner of the index each time: it can be tried again.
    Again,
    /// There is no CPU or concurrency ID with that number.
    NoSuchIndex,
    /// The kernel has not enough memory.
    NoMemory,
    /// Another error of cpu_opv(2), by its number.
    Os(i32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Unavailable => "neither restartable sequences nor cpu_opv(2) can be used",
            Error::Aborted => "the sequence was aborted each time, and there is no cpu_opv(2)",
            Error::Elsewhere => "the data is of another index, and there is no cpu_opv(2)",
            Error::Unreachable => "the thread's affinity mask and cpuset do not have the CPU",
            Error::Busy => "the CPU is not to be disturbed",
            Error::Again => "others were faster each time",
            Error::NoSuchIndex => "no such CPU or concurrency ID",
            Error::NoMemory => "the kernel has not enough memory",
            Error::Os(errno) => return write!(f, "cpu_opv(2) failed with error {errno}"),
        })
    }
}

impl std::error::Error for Error {}
