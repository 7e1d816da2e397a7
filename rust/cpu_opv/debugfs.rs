// SPDX-License-Identifier: GPL-2.0

//! The file `/sys/kernel/debug/cpu_opv/stats`: the counters.
//!
//! Writing anything to it resets those that are not a level.

use crate::stats::Stat;
use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    fmt,
    prelude::*,
    sync::{
        atomic::Relaxed,
        SetOnce, //
    },
    uaccess::UserSliceReader, //
};

/// The file, which is never removed. Its memory is reachable from here, which is what kmemleak looks
/// for.
static FILE: SetOnce<Pin<KBox<File<()>>>> = SetOnce::new();

/// Creates the file.
pub(crate) fn create_files() -> Result {
    let dir = Dir::new(c"cpu_opv");
    let file = dir.read_write_callback_file(c"stats", (), &show_stats, &reset_stats);

    FILE.populate(KBox::pin_init(file, GFP_KERNEL)?);
    Ok(())
}

fn show_stats(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (stat, name) in Stat::ALL {
        writeln!(f, "{name}: {}", stat.counter().load(Relaxed))?;
    }
    Ok(())
}

fn reset_stats(_: &(), _: &mut UserSliceReader) -> Result {
    for (stat, _) in Stat::ALL {
        if !stat.is_level() {
            stat.counter().store(0, Relaxed);
        }
    }
    Ok(())
}
