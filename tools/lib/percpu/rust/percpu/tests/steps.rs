// SPDX-License-Identifier: GPL-2.0
//! Every instruction boundary of every sequence is interrupted once, and meanwhile the data changes,
//! as cpu_opv(2) on another CPU changes it.
//!
//! A child runs an operation under ptrace(2). Its first run is stepped, to learn where instructions
//! begin; of each further run, one of them is a breakpoint, at which the kernel has to abort the
//! sequence. The data is in memory that both share.

use std::fmt::Debug;
use std::mem::{size_of, zeroed};
use std::process::exit;
use std::ptr::null_mut;

use percpu::op::{self, join, NotDone};
use percpu::{Cid, Cpu, Error, Index, Registration};

/// What the operations work on.
#[repr(C)]
#[derive(Clone, Copy)]
struct Data {
    v: usize,
    nodes: [usize; 2],
    src: [usize; 3],
    dst: [usize; 3],
    /// By index, at a distance of 1 << SHIFT. All have the same, so that it does not matter which
    /// index the child has.
    heads: [[usize; 2]; 64],
    outcome: Outcome,
}

impl Data {
    fn node(&self, n: usize) -> usize {
        &raw const self.nodes[n] as usize
    }

    /// What the only head has that is not as all others.
    fn changed(&self, others: usize) -> Option<usize> {
        let mut changed = self.heads.iter().filter(|head| head[0] != others);
        changed
            .next()
            .filter(|_| changed.next().is_none())
            .map(|head| head[0])
    }
}

/// Not done, at first.
#[repr(C, usize)]
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Different,
    Done(usize),
    Aborted,
    Failed,
}

impl Outcome {
    fn of<T>(result: Result<T, Error>, done: impl Fn(T) -> Option<usize>) -> Self {
        match result.map(done) {
            Ok(Some(value)) => Outcome::Done(value),
            Ok(None) => Outcome::Different,
            Err(Error::Aborted) => Outcome::Aborted,
            Err(_) => Outcome::Failed,
        }
    }
}

/// An operation, what happens while it is interrupted, and what is right: if that happened before
/// the operation, and if after it.
struct Scenario {
    name: &'static str,
    start: fn(&mut Data),
    run: fn(*mut Data) -> Outcome,
    meanwhile: fn(&mut Data),
    before: fn(&Data) -> bool,
    after: fn(&Data) -> bool,
}

fn addv<I: Index>(data: *mut Data) -> Outcome {
    // SAFETY: The data is ours while the tracer waits for us. So for all below.
    let result =
        op::here::<I, _>(|index| unsafe { op::addv::<I>((&raw mut (*data).v).cast(), 3, index) });
    Outcome::of(result, |()| Some(0))
}

fn storev<I: Index>(data: *mut Data) -> Outcome {
    // SAFETY: See addv().
    let result = op::here::<I, _>(|index| unsafe {
        op::cmpeqv_storev::<I>(&raw mut (*data).v, 1, 2, index)
    });
    Outcome::of(result, |done| done.then_some(0))
}

fn pop<I: Index>(data: *mut Data) -> Outcome {
    let result =
        // SAFETY: See addv(); v points to a node while there is one.
        op::here::<I, _>(|index| unsafe { op::cmpnev_storeoffp_load::<I>(&raw mut (*data).v, 0, 0, index) });
    Outcome::of(result, |node| node)
}

fn copy<I: Index>(data: *mut Data) -> Outcome {
    // SAFETY: See addv(); both arrays have that length.
    let result = op::here::<I, _>(|index| unsafe {
        let (dst, src) = (
            (&raw mut (*data).dst).cast(),
            (&raw const (*data).src).cast(),
        );
        op::cmpeqv_memcpy_storev::<I>(
            &raw mut (*data).v,
            1,
            dst,
            src,
            size_of::<[usize; 3]>(),
            2,
            index,
        )
    });
    Outcome::of(result, |done| done.then_some(0))
}

/// For 16 bytes.
const SHIFT: u32 = 4;

fn here(attempt: impl Fn() -> Result<usize, NotDone>) -> Outcome {
    // There is no fallback: as an allocator would, again.
    for _ in 0..100 {
        match attempt() {
            Ok(node) => return Outcome::Done(node),
            Err(NotDone::Limit) => return Outcome::Different,
            Err(NotDone::Aborted) => {}
        }
    }
    Outcome::Aborted
}

fn pop_here<I: Index>(data: *mut Data) -> Outcome {
    // SAFETY: See addv(); all heads point to nodes while there is one.
    let pop = || unsafe { op::pop_here::<I, SHIFT>((&raw mut (*data).heads).cast()) };
    here(pop)
}

fn push_here<I: Index>(data: *mut Data) -> Outcome {
    // SAFETY: See addv(); the first node is in no list.
    let push = || unsafe {
        let (heads, node) = (&raw mut (*data).heads, &raw mut (*data).nodes[0]);
        op::push_here::<I, SHIFT>(heads.cast(), node as usize, 2).map(|()| 0)
    };
    here(push)
}

/// Two nodes in each list; the second one is the last.
fn two_in_lists(data: &mut Data) {
    data.nodes = [join(1, data.node(1)), 0];
    data.heads = [[join(2, data.node(0)), 0]; 64];
}

fn take_from_lists(data: &mut Data) {
    data.heads = [[join(1, data.node(1)), 0]; 64];
    data.nodes[0] = 0xdead_0000_0000_0001;
}

fn second_in_lists(data: &mut Data) {
    data.heads = [[join(1, data.node(1)), 0]; 64];
}

fn nothing(_: &mut Data) {}

/// Two nodes, the second one is the last.
fn two_nodes(data: &mut Data) {
    data.v = data.node(0);
    data.nodes = [data.node(1), 0];
}

/// Another one takes the first node, and uses its memory for something else.
fn take_and_reuse(data: &mut Data) {
    data.v = data.node(1);
    data.nodes[0] = 0xdead_0000_0000_0001;
}

const COPIED: [usize; 3] = [11, 12, 13];

fn scenarios<I: Index>() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "addv",
            start: |data| data.v = 5,
            run: addv::<I>,
            meanwhile: |data| data.v += 100,
            before: |data| data.v == 108 && data.outcome == Outcome::Done(0),
            after: |data| data.v == 108 && data.outcome == Outcome::Done(0),
        },
        Scenario {
            name: "cmpeqv_storev",
            start: |data| data.v = 1,
            run: storev::<I>,
            meanwhile: nothing,
            before: |data| data.v == 2 && data.outcome == Outcome::Done(0),
            after: |data| data.v == 2 && data.outcome == Outcome::Done(0),
        },
        Scenario {
            name: "cmpeqv_storev, which another one changes",
            start: |data| data.v = 1,
            run: storev::<I>,
            meanwhile: |data| data.v = 7,
            before: |data| data.v == 7 && data.outcome == Outcome::Different,
            after: |data| data.v == 7 && data.outcome == Outcome::Done(0),
        },
        Scenario {
            name: "cmpeqv_storev, which another one makes equal",
            start: |data| data.v = 7,
            run: storev::<I>,
            meanwhile: |data| data.v = 1,
            before: |data| data.v == 2 && data.outcome == Outcome::Done(0),
            after: |data| data.v == 1 && data.outcome == Outcome::Different,
        },
        Scenario {
            name: "cmpnev_storeoffp_load",
            start: two_nodes,
            run: pop::<I>,
            meanwhile: nothing,
            before: |data| data.v == data.nodes[0] && data.outcome == Outcome::Done(data.node(0)),
            after: |data| data.v == data.nodes[0] && data.outcome == Outcome::Done(data.node(0)),
        },
        Scenario {
            name: "cmpnev_storeoffp_load, where another one takes the node",
            start: two_nodes,
            run: pop::<I>,
            meanwhile: take_and_reuse,
            before: |data| data.v == 0 && data.outcome == Outcome::Done(data.node(1)),
            after: |data| data.outcome == Outcome::Done(data.node(0)),
        },
        Scenario {
            name: "cmpnev_storeoffp_load, where another one adds nodes",
            start: |data| data.v = 0,
            run: pop::<I>,
            meanwhile: two_nodes,
            before: |data| data.v == data.nodes[0] && data.outcome == Outcome::Done(data.node(0)),
            after: |data| data.outcome == Outcome::Different,
        },
        Scenario {
            name: "cmpeqv_memcpy_storev",
            start: |data| (data.v, data.src) = (1, COPIED),
            run: copy::<I>,
            meanwhile: |data| data.dst = [21, 22, 23],
            before: |data| data.v == 2 && data.dst == COPIED && data.outcome == Outcome::Done(0),
            after: |data| data.v == 2 && data.outcome == Outcome::Done(0),
        },
        Scenario {
            name: "cmpeqv_memcpy_storev, which another one changes",
            start: |data| (data.v, data.src) = (1, COPIED),
            run: copy::<I>,
            meanwhile: |data| (data.v, data.dst) = (7, [21, 22, 23]),
            before: |data| {
                data.v == 7 && data.dst == [21, 22, 23] && data.outcome == Outcome::Different
            },
            after: |data| data.v == 7 && data.outcome == Outcome::Done(0),
        },
        Scenario {
            name: "pop_here",
            start: two_in_lists,
            run: pop_here::<I>,
            meanwhile: nothing,
            before: |data| {
                data.changed(join(2, data.node(0))) == Some(join(1, data.node(1)))
                    && data.outcome == Outcome::Done(data.node(0))
            },
            after: |data| {
                data.changed(join(2, data.node(0))) == Some(join(1, data.node(1)))
                    && data.outcome == Outcome::Done(data.node(0))
            },
        },
        Scenario {
            name: "pop_here, where another one takes the node",
            start: two_in_lists,
            run: pop_here::<I>,
            meanwhile: take_from_lists,
            before: |data| {
                data.changed(join(1, data.node(1))) == Some(0)
                    && data.outcome == Outcome::Done(data.node(1))
            },
            after: |data| data.outcome == Outcome::Done(data.node(0)),
        },
        Scenario {
            name: "pop_here, where another one adds nodes",
            start: nothing,
            run: pop_here::<I>,
            meanwhile: two_in_lists,
            before: |data| data.outcome == Outcome::Done(data.node(0)),
            after: |data| data.outcome == Outcome::Different,
        },
        Scenario {
            name: "push_here",
            start: second_in_lists,
            run: push_here::<I>,
            meanwhile: nothing,
            before: |data| {
                data.changed(join(1, data.node(1))) == Some(join(2, data.node(0)))
                    && data.nodes[0] == join(1, data.node(1))
                    && data.outcome == Outcome::Done(0)
            },
            after: |data| {
                data.changed(join(1, data.node(1))) == Some(join(2, data.node(0)))
                    && data.nodes[0] == join(1, data.node(1))
                    && data.outcome == Outcome::Done(0)
            },
        },
        Scenario {
            name: "push_here, where another one takes all",
            start: second_in_lists,
            run: push_here::<I>,
            meanwhile: |data| data.heads = [[0; 2]; 64],
            before: |data| {
                data.changed(0) == Some(join(1, data.node(0)))
                    && data.nodes[0] == 0
                    && data.outcome == Outcome::Done(0)
            },
            after: |data| data.outcome == Outcome::Done(0),
        },
        Scenario {
            name: "push_here, where another one reaches the limit",
            start: second_in_lists,
            run: push_here::<I>,
            meanwhile: |data| data.heads = [[join(2, data.node(1)), 0]; 64],
            before: |data| {
                data.changed(join(2, data.node(1))).is_none() && data.outcome == Outcome::Different
            },
            after: |data| data.outcome == Outcome::Done(0),
        },
    ]
}

/// `struct rseq_cs`.
#[repr(C, align(32))]
struct Descriptor {
    version_flags: u64,
    start: usize,
    len: usize,
    abort: usize,
}

/// All sequences in this program.
fn descriptors() -> &'static [Descriptor] {
    extern "C" {
        static __start___rseq_cs: Descriptor;
        static __stop___rseq_cs: Descriptor;
    }
    // SAFETY: The linker has set these around the section, which has nothing but descriptors.
    unsafe {
        let (start, stop) = (&raw const __start___rseq_cs, &raw const __stop___rseq_cs);
        std::slice::from_raw_parts(start, stop.offset_from(start) as usize)
    }
}

fn check<T: PartialEq + Debug>(what: &str, found: T, expected: T) {
    if found != expected {
        eprintln!("{what}: {found:x?} instead of {expected:x?}");
        exit(1);
    }
}

struct Child(libc::pid_t);

#[derive(Debug, PartialEq)]
enum Stop {
    Signal(i32),
    Exit(i32),
}

// SAFETY of all calls below: they name a child that is stopped, and memory that is there.
impl Child {
    /// Stopped in front of the operation.
    fn start(scenario: &Scenario, data: *mut Data) -> Child {
        // SAFETY: This process has no other threads; the data is ours while the child is stopped.
        unsafe {
            *data = zeroed();
            (scenario.start)(&mut *data);
            let pid = libc::fork();
            if pid == 0 {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                libc::raise(libc::SIGSTOP);
                (*data).outcome = (scenario.run)(data);
                libc::_exit(0);
            }
            let child = Child(pid);
            check("at the start", child.wait(), Stop::Signal(libc::SIGSTOP));
            child
        }
    }

    fn wait(&self) -> Stop {
        let mut status = 0;
        // SAFETY: See above.
        unsafe { libc::waitpid(self.0, &mut status, 0) };
        if libc::WIFSTOPPED(status) {
            Stop::Signal(libc::WSTOPSIG(status))
        } else {
            Stop::Exit(status)
        }
    }

    fn go(&self, how: libc::c_uint) -> Stop {
        // SAFETY: See above.
        unsafe { libc::ptrace(how, self.0, 0, 0) };
        self.wait()
    }

    fn rip(&self) -> usize {
        // SAFETY: See above.
        unsafe {
            let mut regs: libc::user_regs_struct = zeroed();
            libc::ptrace(libc::PTRACE_GETREGS, self.0, 0, &raw mut regs);
            regs.rip as usize
        }
    }

    fn set_rip(&self, rip: usize) {
        // SAFETY: See above.
        unsafe {
            let mut regs: libc::user_regs_struct = zeroed();
            libc::ptrace(libc::PTRACE_GETREGS, self.0, 0, &raw mut regs);
            regs.rip = rip as u64;
            libc::ptrace(libc::PTRACE_SETREGS, self.0, 0, &raw const regs);
        }
    }

    /// Runs until the instruction at `address`, which has not been executed then. False: the child
    /// ended instead, since something else had interrupted the sequence.
    fn run_to(&self, address: usize) -> bool {
        // SAFETY: See above. The program's text is the same in parent and child.
        unsafe {
            let text = (address as *const usize).read_unaligned();
            libc::ptrace(libc::PTRACE_POKETEXT, self.0, address, text & !0xff | 0xcc);
            match self.go(libc::PTRACE_CONT) {
                Stop::Exit(0) => return false,
                stop => check("at a breakpoint", stop, Stop::Signal(libc::SIGTRAP)),
            }
            check("the breakpoint", self.rip(), address + 1);
            libc::ptrace(libc::PTRACE_POKETEXT, self.0, address, text);
        }
        self.set_rip(address);
        true
    }

    fn finish(self) {
        check("at the end", self.go(libc::PTRACE_CONT), Stop::Exit(0));
    }
}

/// The sequence that the operation runs, and where its instructions begin; the last one is the
/// first behind it.
fn boundaries(scenario: &Scenario, data: *mut Data) -> (&'static Descriptor, Vec<usize>) {
    let child = Child::start(scenario, data);
    let descriptor = loop {
        check(
            "a step",
            child.go(libc::PTRACE_SINGLESTEP),
            Stop::Signal(libc::SIGTRAP),
        );
        let rip = child.rip();
        if let Some(found) = descriptors().iter().find(|sequence| sequence.start == rip) {
            break found;
        }
    };
    // This step aborts it, and the kernel forgets it: now it can be stepped through.
    child.go(libc::PTRACE_SINGLESTEP);
    child.set_rip(descriptor.start);
    let mut found = Vec::new();
    let mut rip = descriptor.start;
    while rip.wrapping_sub(descriptor.start) < descriptor.len {
        if !found.contains(&rip) {
            found.push(rip);
        }
        check(
            "a step",
            child.go(libc::PTRACE_SINGLESTEP),
            Stop::Signal(libc::SIGTRAP),
        );
        rip = child.rip();
    }
    found.push(rip);
    child.finish();
    (descriptor, found)
}

fn interrupt(scenario: &Scenario, data: *mut Data, sequence: &Descriptor, at: usize) {
    let child = (0..100)
        .map(|_| Child::start(scenario, data))
        .find(|child| child.run_to(at))
        .expect("a sequence that is interrupted by others each time");
    // SAFETY: The child is stopped: the data is ours.
    unsafe { (scenario.meanwhile)(&mut *data) };
    let inside = at.wrapping_sub(sequence.start) < sequence.len;
    if inside {
        check("aborted", child.run_to(sequence.abort), true);
    }
    child.finish();
    // SAFETY: The child has ended.
    let data = unsafe { &*data };
    let right = if inside {
        scenario.before
    } else {
        scenario.after
    };
    if !right(data) {
        let offset = at.wrapping_sub(sequence.start);
        eprintln!(
            "{}, interrupted at +{offset}: {:?}, v {:x}, nodes {:x?}, dst {:?}",
            scenario.name, data.outcome, data.v, data.nodes, data.dst
        );
        exit(1);
    }
}

/// As a debugger that steps by instructions, which aborts each sequence.
fn step_through<I: Index>(scenario: &Scenario, data: *mut Data) {
    let child = Child::start(scenario, data);
    while child.go(libc::PTRACE_SINGLESTEP) == Stop::Signal(libc::SIGTRAP) {}
    // SAFETY: The child has ended.
    let data = unsafe { &mut *data };
    (scenario.meanwhile)(data);
    if percpu::cpu_opv_available::<I>() {
        check(
            "stepped through, with cpu_opv",
            (scenario.after)(data),
            true,
        );
    } else {
        check(
            "stepped through, without cpu_opv",
            data.outcome,
            Outcome::Aborted,
        );
    }
}

fn run<I: Index>(kind: &str, data: *mut Data) {
    for scenario in &scenarios::<I>() {
        // SAFETY: No child is there. The first operation decides about the area, the second uses it.
        unsafe {
            *data = zeroed();
            (scenario.start)(&mut *data);
            (scenario.run)(data);
        }
        let (sequence, found) = boundaries(scenario, data);
        for at in &found {
            interrupt(scenario, data, sequence, *at);
        }
        // Without cpu_opv(2) this takes long, and tells the same of each.
        let both = percpu::cpu_opv_available::<I>() || scenario.name == "addv";
        if both && !scenario.name.contains("_here") {
            step_through::<I>(scenario, data);
        }
        println!(
            "ok by {kind}, {}: interrupted at {} instructions",
            scenario.name,
            found.len()
        );
    }
}

fn main() {
    if percpu::registration() == Registration::None {
        println!("skipped: this thread can use no sequences (RSEQ_DISABLE, or no rseq(2))");
        return;
    }
    // SAFETY: A new mapping; the set is initialized.
    let data = unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::CPU_SET(libc::sched_getcpu() as usize, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
        let (rw, shared) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
        );
        libc::mmap(null_mut(), size_of::<Data>(), rw, shared, -1, 0)
    };
    run::<Cpu>("CPU", data.cast());
    run::<Cid>("concurrency ID", data.cast());
}
