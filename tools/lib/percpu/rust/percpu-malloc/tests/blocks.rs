// SPDX-License-Identifier: GPL-2.0
//! Blocks of random sizes and alignments against a model: they are where they should be, do not
//! overlap, and keep what is in them; in several threads, which exchange them.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeMap;
use std::sync::mpsc::channel;

use percpu_malloc::PerCpuMalloc;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Alloc {
        size: usize,
        align: u32,
        zeroed: bool,
    },
    Resize {
        which: usize,
        size: usize,
    },
    Free {
        which: usize,
    },
    Trim,
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 1usize..300, 4 => 1usize..40_000, 1 => 1usize..3_000_000]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let align = prop_oneof![6 => 0u32..5, 1 => 0u32..23];
    let step = prop_oneof![
        5 => (size(), align, any::<bool>())
            .prop_map(|(size, align, zeroed)| Step::Alloc { size, align, zeroed }),
        2 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Resize { which, size }),
        4 => any::<usize>().prop_map(|which| Step::Free { which }),
        1 => Just(Step::Trim),
    ];
    prop::collection::vec(step, 0..100)
}

/// Blocks by address, each with the byte that it is full of.
type Blocks = BTreeMap<usize, (Layout, u8)>;

/// SAFETY of all below: a block in the map is ours, and has that layout.
fn bytes<'a>(address: usize, len: usize) -> &'a mut [u8] {
    // SAFETY: See above.
    unsafe { std::slice::from_raw_parts_mut(address as *mut u8, len) }
}

fn full_of(byte: u8, address: usize, len: usize) -> bool {
    bytes(address, len) == vec![byte; len]
}

fn insert(blocks: &mut Blocks, address: usize, layout: Layout, byte: u8) {
    assert!(address != 0 && address % layout.align() == 0);
    let before = blocks.range(..address + layout.size()).next_back();
    if let Some((other, (other_layout, _))) = before {
        assert!(other + other_layout.size() <= address, "blocks overlap");
    }
    bytes(address, layout.size()).copy_from_slice(&vec![byte; layout.size()]);
    blocks.insert(address, (layout, byte));
}

fn remove(blocks: &mut Blocks, which: usize) -> Option<(usize, Layout, u8)> {
    let address = *blocks.keys().nth(which % blocks.len().max(1))?;
    let (layout, byte) = blocks.remove(&address)?;
    assert!(full_of(byte, address, layout.size()));
    Some((address, layout, byte))
}

fn run(steps: &[Step], blocks: &mut Blocks) {
    for (n, step) in steps.iter().enumerate() {
        match *step {
            Step::Alloc {
                size,
                align,
                zeroed,
            } => {
                let layout = Layout::from_size_align(size, 1 << align).unwrap();
                // SAFETY: The size is not 0.
                let address = unsafe {
                    if zeroed {
                        PerCpuMalloc.alloc_zeroed(layout)
                    } else {
                        PerCpuMalloc.alloc(layout)
                    }
                } as usize;
                assert!(!zeroed || full_of(0, address, size));
                insert(blocks, address, layout, n as u8 | 1);
            }
            Step::Resize { which, size } => {
                let Some((address, layout, byte)) = remove(blocks, which) else {
                    continue;
                };
                // SAFETY: See above; the size is not 0.
                let new =
                    unsafe { PerCpuMalloc.realloc(address as *mut u8, layout, size) } as usize;
                let kept = size.min(layout.size());
                assert!(full_of(byte, new, kept));
                insert(
                    blocks,
                    new,
                    Layout::from_size_align(size, layout.align()).unwrap(),
                    byte,
                );
            }
            Step::Free { which } => {
                if let Some((address, layout, _)) = remove(blocks, which) {
                    // SAFETY: See above.
                    unsafe { PerCpuMalloc.dealloc(address as *mut u8, layout) };
                }
            }
            Step::Trim => {
                PerCpuMalloc::trim();
            }
        }
    }
}

fn free_all(mut blocks: Blocks) {
    while let Some((address, layout, _)) = remove(&mut blocks, 0) {
        // SAFETY: See above.
        unsafe { PerCpuMalloc.dealloc(address as *mut u8, layout) };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn one_thread(steps in steps()) {
        let mut blocks = Blocks::new();
        run(&steps, &mut blocks);
        free_all(blocks);
    }

    /// Each frees what another one has allocated.
    #[test]
    fn threads(steps in prop::collection::vec(steps(), 4)) {
        std::thread::scope(|s| {
            let mut previous: Option<std::sync::mpsc::Receiver<Blocks>> = None;
            for steps in &steps {
                let (to, from) = channel();
                let other = previous.replace(from);
                s.spawn(move || {
                    let mut blocks = Blocks::new();
                    run(steps, &mut blocks);
                    // The last one keeps its own.
                    let _ = to.send(blocks);
                    if let Some(blocks) = other.and_then(|other| other.recv().ok()) {
                        free_all(blocks);
                    }
                });
            }
        });
    }
}

/// What was freed is not kept: 10 times 32 MiB, one after the other, is not more than once.
#[test]
fn memory_is_used_again() {
    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }
    let before = resident();
    for size in (0..10).map(|n| 48usize << n) {
        let layout = Layout::from_size_align(size, 16).unwrap();
        let count = (32 << 20) / size;
        // SAFETY: The size is not 0, and each block is freed once.
        unsafe {
            let blocks: Vec<_> = (0..count).map(|_| PerCpuMalloc.alloc(layout)).collect();
            blocks.iter().for_each(|block| block.write_bytes(1, size));
            blocks
                .iter()
                .for_each(|block| PerCpuMalloc.dealloc(*block, layout));
        }
    }
    PerCpuMalloc::trim();
    let after = resident();
    assert!(
        after < before + (80 << 20),
        "{} MiB more",
        after.saturating_sub(before) >> 20
    );
}
