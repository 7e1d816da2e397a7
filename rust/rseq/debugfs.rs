// SPDX-License-Identifier: GPL-2.0

//! The files in `/sys/kernel/debug/rseq`.
//!
//! * `debug`: whether debug mode is on.
//! * `slice_ext_nsec`: the length of a slice extension in ns, from 5000 to 50000.
//! * `stats`: the counters.

use crate::debug;
#[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
use crate::slice_grant;
use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    fmt,
    prelude::*,
    str::kstrtobool_bytes,
    sync::SetOnce,
    uaccess::UserSliceReader, //
};

/// The files, which are never removed. Their memory is reachable from here, which is what kmemleak
/// looks for.
static FILES: SetOnce<KVec<Pin<KBox<File<()>>>>> = SetOnce::new();

/// Creates the files.
pub(crate) fn create_files() -> Result {
    let dir = Dir::new(c"rseq").world_readable();
    let mut files = KVec::new();

    let file = dir.read_write_callback_file(c"debug", (), &show_debug, &write_debug);
    files.push(KBox::pin_init(file, GFP_KERNEL)?, GFP_KERNEL)?;
    #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
    {
        let file = dir.read_write_callback_file(c"slice_ext_nsec", (), &show_slice, &write_slice);
        files.push(KBox::pin_init(file, GFP_KERNEL)?, GFP_KERNEL)?;
    }
    #[cfg(CONFIG_RSEQ_STATS)]
    {
        let file = dir.read_callback_file(c"stats", (), &show_stats);
        files.push(KBox::pin_init(file, GFP_KERNEL)?, GFP_KERNEL)?;
    }
    FILES.populate(files);
    Ok(())
}

/// Reads what is written to a file, up to `N - 1` bytes; the rest is zero.
fn read_line<const N: usize>(reader: &mut UserSliceReader) -> Result<[u8; N]> {
    let mut line = [0; N];
    let len = reader.len().min(N.saturating_sub(1));

    reader.read_slice(line.get_mut(..len).ok_or(EINVAL)?)?;
    Ok(line)
}

fn show_debug(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "{}", u8::from(debug::enabled()))
}

fn write_debug(_: &(), reader: &mut UserSliceReader) -> Result {
    let line = read_line::<4>(reader).map_err(|_| EINVAL)?;

    debug::set(kstrtobool_bytes(&line)?);
    Ok(())
}

#[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
fn show_slice(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use kernel::sync::atomic::Relaxed;

    writeln!(f, "{}", slice_grant::NSECS.load(Relaxed))
}

#[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
fn write_slice(_: &(), reader: &mut UserSliceReader) -> Result {
    use kernel::{
        bindings,
        sync::atomic::Relaxed, //
    };

    // A sign, 32 digits, a newline, the terminator.
    let line = read_line::<35>(reader).map_err(|_| EINVAL)?;
    let mut nsecs = 0;
    // SAFETY: `line` ends with a zero, and `nsecs` is valid for writes.
    if unsafe { bindings::kstrtouint(line.as_ptr().cast(), 10, &mut nsecs) } != 0 {
        return Err(EINVAL);
    }
    if !(slice_grant::NSECS_MIN..=slice_grant::NSECS_MAX).contains(&nsecs) {
        return Err(ERANGE);
    }

    slice_grant::NSECS.store(nsecs, Relaxed);
    Ok(())
}

#[cfg(CONFIG_RSEQ_STATS)]
fn show_stats(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use crate::stats::{
        self,
        Stat, //
    };

    const STATS: &[(&str, Stat)] = &[
        ("exit:", Stat::Exit),
        ("signal:", Stat::Signal),
        ("slowp:", Stat::Slowpath),
        ("fastp:", Stat::Fastpath),
        ("ids:", Stat::Ids),
        ("cs:", Stat::Cs),
        ("clear:", Stat::Clear),
        ("fixup:", Stat::Fixup),
        #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
        ("sgrant:", Stat::SliceGranted),
        #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
        ("sexpir:", Stat::SliceExpired),
        #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
        ("srevok:", Stat::SliceRevoked),
        #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
        ("syield:", Stat::SliceYielded),
        #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
        ("sabort:", Stat::SliceAborted),
    ];

    for &(name, stat) in STATS {
        writeln!(f, "{name:<7} {:16}", stats::sum(stat))?;
    }
    Ok(())
}
