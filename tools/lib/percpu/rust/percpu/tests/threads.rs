// SPDX-License-Identifier: GPL-2.0
//! Threads at once, more than CPUs: nothing is lost, nothing is there twice.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Mutex;
use std::thread::scope;

use percpu::{Cid, Counter, Cpu, Error, FreeList, Index, Node, PushError, Registration, Ring};

const THREADS: usize = 8;
const ROUNDS: usize = 5_000;

/// What an operation can answer on a kernel without cpu_opv(2), on a crowded machine.
fn may_fail<I: Index>(error: Error) {
    assert!(!percpu::cpu_opv_available::<I>(), "{error}");
    let expected = match error {
        Error::Unavailable => percpu::registration() == Registration::None,
        error => matches!(error, Error::Aborted | Error::Elsewhere),
    };
    assert!(expected, "{error}");
}

fn counter<I: Index>() {
    let counter = Counter::<I>::new();
    let done = AtomicBool::new(false);
    let drained = scope(|s| {
        let drainer = s.spawn(|| {
            let mut drained = 0;
            while !done.load(Relaxed) {
                drained += counter.drain_all().0;
                std::thread::yield_now();
            }
            drained
        });
        scope(|s| {
            for _ in 0..THREADS {
                s.spawn(|| (0..ROUNDS).for_each(|_| counter.add(1)));
            }
        });
        done.store(true, Relaxed);
        drainer.join().unwrap()
    });
    assert_eq!(drained + counter.sum(), (THREADS * ROUNDS) as isize);
}

/// Nodes go round; some threads take those of all.
fn free_list<I: Index>() {
    let list = FreeList::<(usize, u32), I>::new();
    let kept = Mutex::new(Vec::new());
    scope(|s| {
        for thread in 0..THREADS {
            let (list, kept) = (&list, &kept);
            s.spawn(move || {
                let mut own: Vec<_> = (0..16).map(|n| Node::new((thread * 16 + n, 0))).collect();
                for round in 0..ROUNDS {
                    if let Some(mut node) = own.pop() {
                        node.1 += 1;
                        if let Err((node, error)) = list.push(node) {
                            may_fail::<I>(error);
                            own.push(node);
                        }
                    }
                    match list.pop() {
                        Ok(node) => own.extend(node),
                        Err(error) => may_fail::<I>(error),
                    }
                    if thread == 0 && round % 64 == 0 {
                        own.extend(list.drain_all().0);
                    }
                }
                kept.lock().unwrap().append(&mut own);
            });
        }
    });
    let mut all = kept.into_inner().unwrap();
    all.extend(list.drain_all().0);
    if !percpu::cpu_opv_available::<I>() {
        // What is left is dropped with the list.
        assert!(all.len() <= THREADS * 16);
    } else {
        assert_eq!(all.len(), THREADS * 16);
    }
    let names: HashSet<_> = all.iter().map(|node| node.0).collect();
    assert_eq!(names.len(), all.len(), "a node that two threads have");
}

fn ring<I: Index>() {
    let ring = Ring::<Box<usize>, I, 32>::new();
    let taken = Mutex::new(Vec::new());
    let put = Mutex::new(0);
    scope(|s| {
        for thread in 0..THREADS {
            let (ring, taken, put) = (&ring, &taken, &put);
            s.spawn(move || {
                let (mut count, mut own) = (0, Vec::new());
                for round in 0..ROUNDS {
                    match ring.push(Box::new(thread * ROUNDS + round)) {
                        Ok(()) => count += 1,
                        Err(PushError::Full(_)) => {}
                        Err(PushError::Failed(_, error)) => may_fail::<I>(error),
                    }
                    match if thread == 0 {
                        ring.drain_all().0
                    } else {
                        Vec::new()
                    } {
                        all if all.is_empty() => match ring.pop() {
                            Ok(value) => own.extend(value),
                            Err(error) => may_fail::<I>(error),
                        },
                        mut all => own.append(&mut all),
                    }
                }
                taken.lock().unwrap().append(&mut own);
                *put.lock().unwrap() += count;
            });
        }
    });
    let mut all = taken.into_inner().unwrap();
    let put = put.into_inner().unwrap();
    let (mut rest, result) = ring.drain_all();
    all.append(&mut rest);
    if result.is_ok() {
        assert_eq!(all.len(), put);
    }
    assert!(all.len() <= put);
    assert!(put > ROUNDS || percpu::registration() == Registration::None);
    let values: HashSet<_> = all.iter().map(|value| **value).collect();
    assert_eq!(values.len(), all.len(), "a value that two threads have");
}

#[test]
fn counter_by_cpu() {
    counter::<Cpu>();
}

#[test]
fn counter_by_cid() {
    counter::<Cid>();
}

#[test]
fn free_list_by_cpu() {
    free_list::<Cpu>();
}

#[test]
fn free_list_by_cid() {
    free_list::<Cid>();
}

#[test]
fn ring_by_cpu() {
    ring::<Cpu>();
}

#[test]
fn ring_by_cid() {
    ring::<Cid>();
}

/// Of an index that no thread has: the only way is cpu_opv(2).
#[test]
fn drain_another_index() {
    let counter = Counter::<Cid>::new();
    let list = FreeList::<usize, Cid>::new();
    let mut pushed = 0;
    scope(|s| {
        for _ in 0..2 * percpu::count() {
            s.spawn(|| {
                counter.add(1);
            });
        }
        pushed += list.push(Node::new(1)).is_ok() as usize;
    });
    let (sum, result) = counter.drain_all();
    let (nodes, result_nodes) = list.drain_all();
    if percpu::cpu_opv_available::<Cid>() {
        assert_eq!((result, result_nodes), (Ok(()), Ok(())));
        assert_eq!(sum as usize, 2 * percpu::count());
        assert_eq!((nodes.count(), pushed), (1, 1));
    } else {
        assert_eq!(sum + counter.sum(), 2 * percpu::count() as isize);
        assert!(nodes.count() <= pushed);
    }
    assert_eq!(
        counter.drain(percpu::count() as u32),
        Err(Error::NoSuchIndex)
    );
}
