// SPDX-License-Identifier: GPL-2.0
//! Each structure against a model: a thread that keeps to one CPU sees what a plain one would do.

use std::collections::VecDeque;

use percpu::{Cid, Counter, Cpu, FreeList, Histogram, Index, Node, PushError, Ring};
use proptest::prelude::*;

/// So that the index stays the same, as the model's does. It can only be kept by CPU: a thread that
/// is alone in running has a concurrency ID that may change, so there, all are looked at.
fn stay() {
    // SAFETY: The set is initialized, and has the CPU where the thread is.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu() as usize, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &set), 0);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u64),
    Take,
    Drain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<u64>().prop_map(Step::Put),
        3 => Just(Step::Take),
        1 => Just(Step::Drain),
    ];
    prop::collection::vec(step, 0..100)
}

proptest! {
    #[test]
    fn free_list(steps in steps()) {
        stay();
        let list = FreeList::<u64, Cpu>::new();
        let mut model = Vec::new();
        for step in steps {
            match step {
                Step::Put(value) => {
                    list.push(Node::new(value)).unwrap();
                    model.push(value);
                }
                Step::Take => prop_assert_eq!(list.pop().unwrap().map(|node| **node), model.pop()),
                Step::Drain => {
                    let drained: Vec<_> = list.drain(Cpu::current()).unwrap().map(|n| **n).collect();
                    model.reverse();
                    prop_assert_eq!(drained, std::mem::take(&mut model));
                }
            }
        }
    }

    #[test]
    fn ring(steps in steps()) {
        stay();
        // Each value has memory of its own, so that one lost or dropped twice is found.
        let ring = Ring::<Box<u64>, Cpu, 8>::new();
        let mut model = VecDeque::new();
        for step in steps {
            match step {
                Step::Put(value) => match ring.push(Box::new(value)) {
                    Ok(()) => model.push_back(Box::new(value)),
                    Err(PushError::Full(back)) => {
                        prop_assert_eq!(*back, value);
                        prop_assert_eq!(model.len(), 8);
                    }
                    Err(PushError::Failed(_, error)) => panic!("{error}"),
                },
                Step::Take => prop_assert_eq!(ring.pop().unwrap(), model.pop_front()),
                Step::Drain => {
                    let drained = VecDeque::from(ring.drain(Cpu::current()).unwrap());
                    prop_assert_eq!(drained, std::mem::take(&mut model));
                }
            }
            prop_assert!(model.len() <= 8);
        }
    }

    #[test]
    fn counter(counts in prop::collection::vec(any::<isize>(), 0..50), by_cid in any::<bool>()) {
        fn run<I: Index>(counts: &[isize]) -> (isize, isize) {
            stay();
            let counter = Counter::<I>::new();
            counts.iter().for_each(|count| counter.add(*count));
            let sum = counter.sum();
            (sum, counter.drain(I::current()).unwrap().wrapping_add(counter.sum()))
        }
        let model = counts.iter().fold(0isize, |sum, count| sum.wrapping_add(*count));
        let sums = if by_cid { run::<Cid>(&counts) } else { run::<Cpu>(&counts) };
        prop_assert_eq!(sums, (model, model));
    }

    #[test]
    fn histogram(values in prop::collection::vec(any::<u64>(), 0..50), shift in 0..64) {
        let histogram = Histogram::<Cid>::new();
        let mut model = [0; percpu::BUCKETS];
        for value in values.iter().map(|value| value >> shift) {
            histogram.record(value);
            let bucket = (0..64).find(|n| value < 1 << n).unwrap_or(64);
            model[bucket] += 1;
        }
        prop_assert_eq!(histogram.snapshot(), model);
    }
}
