// SPDX-License-Identifier: GPL-2.0

//! Tests of decoding, planning and running vectors.

use kernel::prelude::*;

#[kunit_tests(rust_cpu_opv)]
mod vectors {
    use crate::{
        abi::{
            self,
            RawOp,
            DATA_LEN_MAX,
            PAGES_MAX,
            VEC_LEN_MAX, //
        },
        exec,
        op::{
            self,
            Op,
            Operand,
            Vector, //
        },
        plan::{
            self,
            PagesOf,
            Plan,
            Slots, //
        },
        segments::segments,
        syscall,
        way::{
            self,
            Exclusion,
            Facts,
            Operands,
            Remote, //
        },
    };
    use core::ptr;
    use kernel::{
        cpu::CpuId,
        cpumask::Cpumask,
        exclude::{
            self,
            Caller,
            Excluded,
            Occupant,
            Place,
            Section, //
        },
        ffi::c_uint,
        mm::mc::Poisoned,
        page::{
            PAGE_MASK,
            PAGE_SIZE, //
        },
        prelude::*, //
    };

    /// An argument whose bytes are `bytes`.
    fn arg(bytes: [u8; 8]) -> u64 {
        u64::from_ne_bytes(bytes)
    }

    fn raw(op: c_int, len: u32, [a, b, c]: [u64; 3]) -> RawOp {
        let [o0, o1, o2, o3] = op.to_ne_bytes();
        let [l0, l1, l2, l3] = len.to_ne_bytes();

        [arg([o0, o1, o2, o3, l0, l1, l2, l3]), a, b, c]
    }

    fn vector(raw: &[RawOp]) -> Result<KBox<Vector>> {
        let mut vector = KBox::new(Vector::new(), GFP_KERNEL)?;

        vector.set(raw.len(), raw.iter().copied().map(Ok))?;
        vector.untag();
        Ok(vector)
    }

    fn checked(raw: RawOp) -> Result<Op> {
        Ok(vector(&[raw])?.ops()[0])
    }

    fn is_valid(raw: RawOp) -> bool {
        checked(raw).is_ok()
    }

    fn is_invalid(raw: RawOp) -> bool {
        checked(raw).is_err_and(|e| e == EINVAL)
    }

    fn operand(addr: usize, len: usize, write: bool) -> Operand {
        Operand { addr, len, write }
    }

    #[test]
    fn check_comparisons_and_copies() -> Result {
        let args = [0x1000, 0x2001, arg([0, 7, 0, 0, 0, 0, 0, 0])];

        for code in [abi::COMPARE_EQ, abi::COMPARE_NE, abi::MEMCPY] {
            let code = code.into();
            let op = checked(raw(code, 100, args))?;
            let write = code == c_int::from(abi::MEMCPY);

            let operands = [operand(0x1000, 100, write), operand(0x2001, 100, false)];
            assert!(op.operands().eq(operands));
            assert!(!op.guessed(0) && op.guessed(1));

            assert!(is_valid(raw(code, 0, [0; 3])));
            assert!(is_valid(raw(code, 4096, [0; 3])));
            assert!(is_invalid(raw(code, 4097, [0; 3])));
            assert!(is_invalid(raw(code, u32::MAX, [0; 3])));
            for reserved in 2..8 {
                let mut bytes = [0; 8];
                bytes[reserved] = 1;
                assert!(is_invalid(raw(code, 8, [0, 0, arg(bytes)])));
            }
        }
        Ok(())
    }

    #[test]
    fn tell_the_direction() -> Result {
        for (dst, src, len, expected) in [
            (100, 100, 10, false),
            (100, 101, 10, false),
            (101, 100, 10, true),
            (109, 100, 10, true),
            (110, 100, 10, false),
            (u64::MAX, u64::MAX - 1, 2, true),
        ] {
            let mut op = checked(raw(abi::MEMCPY.into(), len, [dst, src, 0]))?;

            op.map([Some(ptr::null_mut()); 2]);
            assert_eq!(op.backward(), expected);
        }
        Ok(())
    }

    #[test]
    fn check_words() -> Result {
        for code in [abi::ADD, abi::OR, abi::AND, abi::XOR] {
            let code = code.into();
            let op = checked(raw(code, 8, [0x1008, 3, arg([1, 0, 0, 0, 0, 0, 0, 0])]))?;

            assert!(op.operands().eq([operand(0x1008, 8, true)]));
            assert!(op.guessed(0));
            assert!(!checked(raw(code, 8, [0, u64::MAX, 0]))?.guessed(0));

            for len in 0..4200 {
                let valid = matches!(len, 1 | 2 | 4 | 8);
                assert_eq!(is_valid(raw(code, len, [0x1000, 3, 0])), valid);
            }
            for (len, addr) in [(2, 1), (4, 2), (8, 4), (8, 1)] {
                assert!(is_invalid(raw(code, len, [addr, 3, 0])));
            }
            for reserved in 1..8 {
                let mut bytes = [0; 8];
                bytes[reserved] = 0x80;
                assert!(is_invalid(raw(code, 8, [0, 0, arg(bytes)])));
            }
        }
        Ok(())
    }

    #[test]
    fn check_shifts() -> Result {
        for code in [abi::LSHIFT, abi::RSHIFT] {
            let code = code.into();
            for len in [1, 2, 4, 8] {
                for bits in 0..100_u32 {
                    let [b0, b1, b2, b3] = bits.to_ne_bytes();
                    let args = [0x1000, arg([b0, b1, b2, b3, 1, 0, 0, 0]), 0];
                    if bits >= 8 * len {
                        assert!(is_invalid(raw(code, len, args)));
                        continue;
                    }
                    let op = checked(raw(code, len, args))?;

                    assert!(op.operands().eq([operand(0x1000, len as usize, true)]));
                    assert!(op.guessed(0));
                }
                assert!(!checked(raw(code, len, [0, 3, 0]))?.guessed(0));
                assert!(is_invalid(raw(code, len, [0x1000, u64::MAX, 0])));
            }
            for len in [0, 3, 5, 16, 4096, 1 << 29] {
                assert!(is_invalid(raw(code, len, [0x1000, 0, 0])));
            }
            for reserved in 5..8 {
                let mut bytes = [0; 8];
                bytes[reserved] = 1;
                assert!(is_invalid(raw(code, 8, [0, arg(bytes), 0])));
            }
            assert!(is_invalid(raw(code, 8, [0, 0, 1])));
            assert!(is_invalid(raw(code, 8, [4, 0, 0])));
        }
        Ok(())
    }

    #[test]
    fn check_codes() -> Result {
        let mb = abi::MB.into();

        assert_eq!(checked(raw(mb, 0, [0; 3]))?.operands().count(), 0);
        assert!(is_invalid(raw(mb, 8, [0; 3])));
        for i in 0..3 {
            for bit in 0..64 {
                let mut args = [0; 3];
                args[i] = 1 << bit;
                assert!(is_invalid(raw(mb, 0, args)));
            }
        }
        for code in [-1, abi::NR_OPS, 256, i32::MIN, i32::MAX] {
            assert!(is_invalid(raw(code, 0, [0; 3])));
        }
        Ok(())
    }

    #[test]
    fn check_the_sum() {
        let mut ops = [copy(0, 8, 8); VEC_LEN_MAX];
        ops[7] = copy(0, 0, 4096);
        assert!(vector(&ops).is_ok());
        ops[8] = copy(0, 8, 9);
        assert!(vector(&ops).is_err_and(|e| e == EINVAL));
        // Barriers have no bytes.
        ops[9] = barrier();
        assert!(vector(&ops).is_ok());
        assert!(vector(&[copy(0, 0, 4096); VEC_LEN_MAX]).is_err());
        assert!(vector(&[add(0); VEC_LEN_MAX + 1]).is_err());
    }

    #[test]
    fn cut_off_leading_comparisons() -> Result {
        let compare = raw(abi::COMPARE_EQ.into(), 8, [0, 8, 0]);
        let mut vector = vector(&[compare, barrier(), compare, add(0), compare])?;

        for end in 0..6 {
            assert_eq!(op::leading(vector.ops_mut(), end).len(), end.min(3));
        }
        Ok(())
    }

    fn barrier() -> RawOp {
        raw(abi::MB.into(), 0, [0; 3])
    }

    fn copy(dst: usize, src: usize, len: u32) -> RawOp {
        raw(abi::MEMCPY.into(), len, [dst as u64, src as u64, 0])
    }

    fn add(p: usize) -> RawOp {
        raw(abi::ADD.into(), 8, [p as u64, 1, 0])
    }

    /// A plan, and the addresses of the pages.
    struct Planned {
        plan: Plan,
        slots: Slots,
    }

    fn plan(ops: &[RawOp]) -> Result<KBox<Planned>> {
        let (plan, slots) = (Plan::new(), Slots::new());
        let mut planned = KBox::new(Planned { plan, slots }, GFP_KERNEL)?;
        let Planned { plan, slots } = &mut *planned;

        plan.set(vector(ops)?.ops(), slots)?;
        Ok(planned)
    }

    impl Planned {
        /// The numbers of the pages in memory, and whether they are written.
        fn pages(&self) -> impl Iterator<Item = (usize, bool)> + '_ {
            let Self { plan, slots } = self;
            let written =
                |number| plan::numbers(plan.written).any(|written| usize::from(written) == number);

            slots
                .iter()
                .enumerate()
                .map(move |(i, slot)| (slot.addr() / PAGE_SIZE, written(i)))
        }
    }

    #[test]
    fn plan_pages_once() -> Result {
        let planned = plan(&[
            copy(3 * PAGE_SIZE - 1, 7 * PAGE_SIZE, 2),
            copy(0, 0, 0),
            add(7 * PAGE_SIZE + 8),
            copy(2 * PAGE_SIZE, 9 * PAGE_SIZE - 1, 1),
        ])?;

        // First operands are the first ones.
        assert!(planned
            .pages()
            .eq([(2, true), (3, true), (7, true), (8, false)]));
        let pages = |first, last| PagesOf { first, last };
        assert!(
            *planned.plan.operands
                == [
                    [pages(0, 1), pages(2, 2)],
                    [PagesOf::NONE; 2],
                    [pages(2, 2), PagesOf::NONE],
                    [pages(0, 0), pages(3, 3)],
                ]
        );
        Ok(())
    }

    #[test]
    fn plan_the_maximum() -> Result {
        // Far from one another: such that they have the same bit, and not.
        for step in [64 * PAGE_SIZE, 2 * PAGE_SIZE, 3 * PAGE_SIZE] {
            let mut ops = [add(0); VEC_LEN_MAX];
            for (i, raw) in ops.iter_mut().enumerate() {
                let end = 2 * i * step + PAGE_SIZE;
                *raw = copy(end - 1, end + step - 1, 2);
            }

            let all = plan(&ops)?;
            assert_eq!(all.slots.len(), PAGES_MAX);
            assert_eq!(plan::numbers(all.plan.written).count(), PAGES_MAX / 2);
            let mut operands = all.plan.operands.iter().flatten();
            assert!(operands.all(|operand| operand.crosses()));

            // Each is found again.
            let (first, second) = ops.split_at_mut(VEC_LEN_MAX / 2);
            second.copy_from_slice(first);
            let twice = plan(&ops)?;
            assert_eq!(twice.slots.len(), PAGES_MAX / 2);
            let (first, second) = twice.plan.operands.split_at(VEC_LEN_MAX / 2);
            assert!(first == second);
        }
        Ok(())
    }

    #[test]
    fn plan_at_the_end() -> Result {
        // Pages tell that they are not of user space: here the last one and the first one of all.
        let last = usize::MAX;
        let wraps = plan(&[copy(last, 0, 2)])?;

        assert!(wraps.pages().eq([(last / PAGE_SIZE, true), (0, true)]));
        assert!(wraps.plan.operands[0][0].crosses());
        // No bytes are nowhere.
        assert!(plan(&[copy(last, last, 0)])?.slots.is_empty());
        Ok(())
    }

    #[test]
    fn number_bits() {
        assert!(plan::numbers(0).next().is_none());
        assert!(plan::numbers(1 << 63 | 1 << 5 | 1).eq([0, 5, 63]));
        assert!(plan::numbers(u64::MAX).eq(0..64));
        assert_eq!(plan::clear_from(0b1001, 0), 0);
        assert_eq!(plan::clear_from(0b1001, 1), 2);
        assert_eq!(plan::clear_from(0b1001, 4), 64);
        assert_eq!(plan::clear_from(1 << 63, 63), 0);
        assert_eq!(plan::clear_from(u64::MAX, 64), 0);
    }

    #[test]
    fn untag() -> Result {
        // Kernel threads have no tags. What is no address is not touched in any case.
        for addr in [0, 0x1000, 1 << 46] {
            let args = [addr, addr + 1, 0];

            assert_eq!(
                checked(raw(abi::MEMCPY.into(), 8, args))?.args(),
                [addr, addr + 1]
            );
            let args = [addr, u64::MAX, 0];
            assert_eq!(
                checked(raw(abi::ADD.into(), 8, args))?.args(),
                [addr, u64::MAX]
            );
        }
        Ok(())
    }

    fn in_place(ops: &[RawOp]) -> bool {
        vector(ops).is_ok_and(|vector| vector.in_place())
    }

    #[test]
    fn choose_in_place() {
        let compare = |a, len| raw(abi::COMPARE_EQ.into(), len, [a, 64, 0]);
        let mb = barrier();

        assert!(in_place(&[]));
        for len in 0..=16 {
            let word = matches!(len, 1 | 2 | 4 | 8);
            assert_eq!(in_place(&[compare(0, len)]), word);
            assert_eq!(in_place(&[copy(0, 32, len)]), word);
            for addr in 0..=8 {
                let aligned = word && addr % len.max(1) as usize == 0;
                assert_eq!(in_place(&[compare(addr as u64, len)]), aligned);
                assert_eq!(in_place(&[copy(addr, 32, len)]), aligned);
                assert_eq!(in_place(&[copy(32, addr, len)]), aligned);
            }
        }
        for store in [add(8), copy(0, 8, 4), raw(abi::LSHIFT.into(), 1, [3, 1, 0])] {
            assert!(in_place(&[store]));
            assert!(in_place(&[
                mb,
                compare(8, 8),
                mb,
                compare(2, 2),
                store,
                mb,
                mb
            ]));
            assert!(!in_place(&[store, compare(0, 8)]));
            assert!(!in_place(&[store, store]));
            assert!(!in_place(&[store, mb, store]));
            assert!(!in_place(&[compare(0, 16), store]));
        }
    }

    #[test]
    fn understand_flags() {
        let is_query = |flags| syscall::place(flags, 1).is_none() && syscall::query(flags) > 0;

        assert_eq!(syscall::place(0, 1), Some(Place::Cpu(1)));
        #[cfg(CONFIG_SCHED_MM_CID)]
        assert_eq!(syscall::place(abi::FLAG_MM_CID, 1), Some(Place::Cid(1)));
        for flags in 1..=2 * abi::FLAGS {
            let asks = [abi::FLAG_NR, abi::FLAG_VEC_LEN_MAX, abi::FLAG_FLAGS].contains(&flags);

            assert_eq!(is_query(flags), asks);
            // They cannot be combined.
            assert_eq!(
                syscall::place(flags, 1).is_some(),
                flags == abi::FLAG_MM_CID
            );
        }
        assert_eq!(syscall::query(abi::FLAG_FLAGS) as c_uint, abi::FLAGS);
    }

    #[test]
    fn choose_the_exclusion() {
        for bits in 0..32 {
            let bit = |n: u32| bits & (1 << n) != 0;
            let (same_mm, realtime, isolated) = (bit(0), bit(1), bit(2));
            let (migrate, may_move) = (bit(3), bit(4));

            let chosen = way::exclusion(Facts {
                occupant: Occupant::new(same_mm, realtime, isolated),
                remote: if migrate {
                    Remote::Migrate
                } else {
                    Remote::Interrupt
                },
                may_move,
            });
            let expected = match (same_mm, realtime || isolated, migrate, may_move) {
                // What it was set to do, where it can.
                (_, _, true, true) => Ok(Exclusion::Migrate),
                // Those who must not be disturbed are not.
                (false, true, false, true) => Ok(Exclusion::Migrate),
                (false, true, _, false) => Err(EBUSY),
                (true, _, _, _) | (false, false, _, _) => Ok(Exclusion::Interrupt),
            };
            assert_eq!(chosen, expected);
        }
    }

    #[test]
    fn choose_how_to_reach_operands() {
        assert_eq!(way::operands(true, true), Operands::InPlace);
        assert_eq!(way::operands(true, false), Operands::Pinned);
        assert_eq!(way::operands(false, true), Operands::Pinned);
        assert_eq!(way::operands(false, false), Operands::Pinned);
    }

    #[test]
    fn cut_into_segments() {
        const LEN: usize = 24;

        for len in 0..=LEN {
            for a in 0..=LEN + 1 {
                for b in 0..=LEN + 1 {
                    let mut next = 0;
                    let mut count = 0;
                    for (start, end) in segments(len, a, b, false) {
                        // One after the other, none of them empty, each within one page of both.
                        assert_eq!(start, next);
                        assert!(start < end && end <= len);
                        assert!(end <= a || a <= start);
                        assert!(end <= b || b <= start);
                        next = end;
                        count += 1;
                    }
                    assert_eq!(next, len);
                    assert!(count <= 3);

                    // The same ones, in the other direction.
                    let mut last = len;
                    for (start, end) in segments(len, a, b, true) {
                        assert_eq!(end, last);
                        last = start;
                        count -= 1;
                    }
                    assert_eq!((last, count), (0, 0));
                }
            }
        }
    }

    /// Two operands of up to [`DATA_LEN_MAX`] bytes, and some more around them.
    fn new_buffer() -> Result<KVec<u8>> {
        let mut buffer = KVec::from_elem(0, 3 * DATA_LEN_MAX, GFP_KERNEL)?;

        for (i, byte) in buffer.iter_mut().enumerate() {
            *byte = (i % 251) as u8;
        }
        Ok(buffer)
    }

    /// Operations on memory of the kernel.
    struct OnBuffer<'a>(&'a [Op]);

    // SAFETY: Accesses memory of the kernel.
    unsafe impl Section for OnBuffer<'_> {
        type Output = Result<c_int, Poisoned>;

        fn run(&self, _: &Excluded) -> Self::Output {
            let Self(ops) = self;
            // The second page as if it were somewhere else.
            let rest = |index: usize, n: usize| {
                let start = ops[index].mapped(n);
                let page = PAGE_SIZE - (start.addr() & !PAGE_MASK);

                (page < ops[index].len() as usize).then(|| start.wrapping_add(page))
            };

            // SAFETY: By those of `run()`.
            unsafe { exec::run(ops, rest) }
        }
    }

    /// Runs `raw` for the CPU with `number`. Its addresses are counted from the start of `buffer`.
    fn run(number: c_int, buffer: &mut [u8], raw: &[RawOp]) -> Result<i32> {
        let mut vector = vector(raw)?;

        for op in vector.ops_mut() {
            let mut at = [None; 2];
            for (at, operand) in at.iter_mut().zip(op.operands()) {
                assert!(operand.addr + operand.len <= buffer.len());
                *at = Some(buffer.as_mut_ptr().wrapping_add(operand.addr));
            }
            op.map(at);
        }
        let section = OnBuffer(vector.ops());

        // SAFETY: There is no user space yet, and interrupts are on.
        let caller = unsafe { Caller::in_syscall() };
        loop {
            if let Some(stopped_at) = exclude::here(&caller, Place::Cpu(number), &section) {
                return Ok(stopped_at?);
            }
            let cpu = exclude::Cpu::named(number)?;
            if let Ok(stopped_at) = exclude::locked(&caller, cpu, &section) {
                return Ok(stopped_at?);
            }
        }
    }

    /// The CPU on which a test was at that moment.
    fn somewhere() -> c_int {
        CpuId::current().as_u32() as c_int
    }

    #[test]
    fn run_updates() -> Result {
        let old = 0x8070_6050_4030_2011_u64;
        let arg = 0xff00_1234_5678_9a0f_u64;

        for len in [1, 2, 4, 8] {
            for (code, arg, new) in [
                (abi::ADD, arg, old.wrapping_add(arg)),
                (abi::OR, arg, old | arg),
                (abi::AND, arg, old & arg),
                (abi::XOR, arg, old ^ arg),
                (abi::LSHIFT, 5, old << 5),
                (abi::RSHIFT, 5, (old & (!0 >> (64 - 8 * len))) >> 5),
            ] {
                let mut buffer = new_buffer()?;
                buffer[64..72].copy_from_slice(&old.to_ne_bytes());
                let op = raw(code.into(), len as u32, [64, arg, 0]);
                run(somewhere(), &mut buffer, &[op])?;

                let mut expected = old.to_ne_bytes();
                let new = new.to_ne_bytes();
                if cfg!(target_endian = "little") {
                    expected[..len].copy_from_slice(&new[..len]);
                    assert!(buffer[64..72] == expected);
                }
                assert_eq!(buffer[63], 63);
                assert_eq!(buffer[72], 72);
            }
        }
        Ok(())
    }

    #[test]
    fn run_copies() -> Result {
        for len in [
            0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 63, 100, 1000, 4095, 4096,
        ] {
            for distance in [1, 3, 7, 8, 9, 64, 100, 5000] {
                for backward in [false, true] {
                    let (low, high) = (distance % 2, distance % 2 + distance);
                    let (dst, src) = if backward { (high, low) } else { (low, high) };
                    let mut buffer = new_buffer()?;
                    let mut expected = new_buffer()?;
                    expected.copy_within(src..src + len, dst);

                    run(somewhere(), &mut buffer, &[copy(dst, src, len as u32)])?;
                    assert!(*buffer == *expected);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn run_comparisons_on_every_cpu() -> Result {
        let mut buffer = new_buffer()?;
        let equal = |a, b, len| raw(abi::COMPARE_EQ.into(), len, [a, b, 0]);
        let differ = |a, b, len| raw(abi::COMPARE_NE.into(), len, [a, b, 0]);

        for cpu in Cpumask::possible().iter() {
            let cpu = cpu.as_u32() as c_int;
            for len in [0, 1, 2, 4, 5, 8, 100] {
                // Bytes repeat after 251.
                for same in [251, 8 * 251] {
                    let ops = [equal(0, same, len), differ(0, same + 8, len)];
                    let last = if len == 0 { 2 } else { 0 };
                    assert_eq!(run(cpu, &mut buffer, &ops)?, last);
                }
            }

            let ops = [add(0), equal(8, 8 + 251, 8), equal(8, 9 + 251, 8), add(0)];
            let before = buffer[0];
            assert_eq!(run(cpu, &mut buffer, &ops)?, 3);
            assert_eq!(buffer[0], before.wrapping_add(1));
            buffer[0] = before;
            assert_eq!(run(cpu, &mut buffer, &[])?, 0);
        }
        Ok(())
    }
}
