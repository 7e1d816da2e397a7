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
        in_place::Words,
        map::{
            Mapped,
            MappedVector, //
        },
        op::{
            self,
            Op,
            Sink,
            Update,
            User,
            Width, //
        },
        plan::{
            Operand,
            PagesOf,
            Plan,
            UserPage, //
        },
        segments::segments,
        way::{
            self,
            Exclusion,
            Facts,
            Operands,
            Remote, //
        },
    };
    use core::ptr::NonNull;
    use kernel::{
        cpu::CpuId,
        cpumask::Cpumask,
        exclude::{
            self,
            Caller,
            Occupant, //
        },
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

    fn raw(op: i32, len: u32, args: [u64; 3]) -> RawOp {
        RawOp { op, len, args }
    }

    /// The operation that has been decoded last, and its operands.
    #[derive(PartialEq)]
    struct Last(Op, [Option<User>; 2]);

    impl Sink for Last {
        unsafe fn push<const N: usize>(&mut self, op: Op, operands: [User; N]) -> Result {
            self.0 = op;
            self.1 = [operands.first().copied(), operands.get(1).copied()];
            Ok(())
        }
    }

    fn decode(raw: RawOp) -> Result<Last> {
        let mut last = Last(Op::Barrier, [None; 2]);

        op::decode(&raw, &mut last)?;
        Ok(last)
    }

    fn is_invalid(raw: RawOp) -> bool {
        decode(raw).is_err_and(|e| e == EINVAL)
    }

    #[test]
    fn decode_comparisons_and_copies() -> Result {
        let args = [0x1000, 0x2001, arg([0, 7, 0, 0, 0, 0, 0, 0])];
        let operands = |write| {
            let first = User {
                addr: 0x1000,
                len: 100,
                write,
                expect_fault: false,
            };
            let second = User {
                addr: 0x2001,
                len: 100,
                write: false,
                expect_fault: true,
            };
            [Some(first), Some(second)]
        };

        for (code, equal) in [(abi::COMPARE_EQ, true), (abi::COMPARE_NE, false)] {
            let op = Op::Compare { len: 100, equal };
            assert!(decode(raw(code, 100, args))? == Last(op, operands(false)));
        }
        let op = Op::Copy {
            len: 100,
            backward: false,
        };
        assert!(decode(raw(abi::MEMCPY, 100, args))? == Last(op, operands(true)));

        for code in [abi::COMPARE_EQ, abi::COMPARE_NE, abi::MEMCPY] {
            assert!(decode(raw(code, 0, [0; 3])).is_ok());
            assert!(decode(raw(code, 4096, [0; 3])).is_ok());
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
    fn decode_direction() {
        for (dst, src, len, expected) in [
            (100, 100, 10, false),
            (100, 101, 10, false),
            (101, 100, 10, true),
            (109, 100, 10, true),
            (110, 100, 10, false),
            (u64::MAX, u64::MAX - 1, 2, true),
        ] {
            let last = decode(raw(abi::MEMCPY, len, [dst, src, 0]));
            assert!(matches!(last, Ok(Last(Op::Copy { backward, .. }, _)) if backward == expected));
        }
    }

    #[test]
    fn decode_words() -> Result {
        for (code, update) in [
            (abi::ADD, Update::Add),
            (abi::OR, Update::Or),
            (abi::AND, Update::And),
            (abi::XOR, Update::Xor),
        ] {
            let operand = User {
                addr: 0x1008,
                len: 8,
                write: true,
                expect_fault: true,
            };
            let op = Op::Update {
                update,
                width: Width::W8,
                arg: 3,
            };
            let args = [0x1008, 3, arg([1, 0, 0, 0, 0, 0, 0, 0])];
            assert!(decode(raw(code, 8, args))? == Last(op, [Some(operand), None]));

            for len in 0..4200 {
                let valid = matches!(len, 1 | 2 | 4 | 8);
                assert_eq!(decode(raw(code, len, [0x1000, 3, 0])).is_ok(), valid);
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
    fn decode_shifts() -> Result {
        for (code, update) in [(abi::LSHIFT, Update::Shl), (abi::RSHIFT, Update::Shr)] {
            for len in [1, 2, 4, 8] {
                for bits in 0..100_u32 {
                    let [b0, b1, b2, b3] = bits.to_ne_bytes();
                    let args = [0x1000, arg([b0, b1, b2, b3, 1, 0, 0, 0]), 0];
                    if bits >= 8 * len {
                        assert!(is_invalid(raw(code, len, args)));
                        continue;
                    }

                    let operand = User {
                        addr: 0x1000,
                        len: len as u16,
                        write: true,
                        expect_fault: true,
                    };
                    let op = Op::Update {
                        update,
                        width: Width::new(len as usize).ok_or(EINVAL)?,
                        arg: bits.into(),
                    };
                    assert!(decode(raw(code, len, args))? == Last(op, [Some(operand), None]));
                }
                assert!(is_invalid(raw(code, len, [0x1000, u64::MAX, 0])));
            }
            for len in [0, 3, 5, 16, 4096] {
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
    fn decode_codes() -> Result {
        assert!(decode(raw(abi::MB, 0, [0; 3]))? == Last(Op::Barrier, [None; 2]));
        assert!(is_invalid(raw(abi::MB, 8, [0; 3])));
        for i in 0..3 {
            for bit in 0..64 {
                let mut args = [0; 3];
                args[i] = 1 << bit;
                assert!(is_invalid(raw(abi::MB, 0, args)));
            }
        }
        for code in [-1, abi::NR_OPS, i32::MIN, i32::MAX] {
            assert!(is_invalid(raw(code, 0, [0; 3])));
        }
        Ok(())
    }

    fn plan(vector: &[RawOp]) -> Result<KBox<Plan>> {
        let mut plan = KBox::init(Plan::new(), GFP_KERNEL)?;

        plan.set(vector)?;
        Ok(plan)
    }

    fn copy(dst: usize, src: usize, len: u32) -> RawOp {
        raw(abi::MEMCPY, len, [dst as u64, src as u64, 0])
    }

    fn add(p: usize) -> RawOp {
        raw(abi::ADD, 8, [p as u64, 1, 0])
    }

    fn page(number: usize, write: bool) -> UserPage {
        UserPage {
            addr: number * PAGE_SIZE,
            write,
        }
    }

    #[test]
    fn plan_the_sum() -> Result {
        let mut vector = [add(0); VEC_LEN_MAX];
        assert_eq!(plan(&vector)?.bytes(), 8 * VEC_LEN_MAX);
        vector[7] = copy(0, 0, 4096);
        assert_eq!(plan(&vector)?.bytes(), abi::VEC_DATA_LEN_MAX);
        // Barriers have no bytes.
        vector[9] = raw(abi::MB, 0, [0; 3]);
        assert_eq!(plan(&vector)?.bytes(), abi::VEC_DATA_LEN_MAX - 8);
        let vector = [copy(0, 0, 4096); VEC_LEN_MAX];
        assert_eq!(plan(&vector)?.bytes(), 4096 * VEC_LEN_MAX);
        assert!(plan(&[add(0); VEC_LEN_MAX + 1]).is_err());
        Ok(())
    }

    #[test]
    fn plan_pages_once() -> Result {
        let plan = plan(&[
            copy(3 * PAGE_SIZE - 1, 7 * PAGE_SIZE, 2),
            copy(0, 0, 0),
            add(7 * PAGE_SIZE + 8),
            copy(2 * PAGE_SIZE, 9 * PAGE_SIZE - 1, 1),
        ])?;

        let pages = [page(2, true), page(3, true), page(7, true), page(8, false)];
        assert!(plan.pages().eq(pages));
        let last = (PAGE_SIZE - 1) as u16;
        let operands = [
            (last, 2, 0, 1),
            (0, 2, 2, 2),
            (0, 0, 0, 0),
            (0, 0, 0, 0),
            (8, 8, 2, 2),
            (0, 1, 0, 0),
            (last, 1, 3, 3),
        ];
        assert!(
            plan.operands()
                == operands.map(|(offset, len, first, last)| Operand {
                    offset,
                    len,
                    pages: PagesOf { first, last },
                })
        );
        assert!(plan.crossing());
        assert!(plan.runs(true).eq([(2 * PAGE_SIZE, 2), (7 * PAGE_SIZE, 1)]));
        assert!(plan.runs(false).eq([(8 * PAGE_SIZE, 1)]));
        Ok(())
    }

    #[test]
    fn plan_the_maximum() -> Result {
        // Far from one another, so that they meet in the index.
        let step = 2 * PAGES_MAX * PAGE_SIZE;
        for step in [step, 2 * PAGE_SIZE, 3 * PAGE_SIZE] {
            let mut vector = [add(0); VEC_LEN_MAX];
            for (i, raw) in vector.iter_mut().enumerate() {
                let end = 2 * i * step + PAGE_SIZE;
                *raw = copy(end - 1, end + step - 1, 2);
            }

            let all = plan(&vector)?;
            assert_eq!(all.pages().count(), PAGES_MAX);
            let mut operands = all.operands().iter();
            assert!(operands.all(|operand| operand.pages.crosses()));

            // Each is found again.
            let (first, second) = vector.split_at_mut(VEC_LEN_MAX / 2);
            second.copy_from_slice(first);
            let twice = plan(&vector)?;
            assert_eq!(twice.pages().count(), PAGES_MAX / 2);
            let (first, second) = twice.operands().split_at(VEC_LEN_MAX);
            assert!(first == second);
        }
        Ok(())
    }

    #[test]
    fn plan_at_the_end() -> Result {
        // Pages tell that they are not of user space: here the last one and the first one of all.
        let last = usize::MAX;
        let wraps = plan(&[copy(last, 0, 2)])?;

        assert!(wraps.crossing());
        let pages = [page(last / PAGE_SIZE, true), page(0, true)];
        assert!(wraps.pages().eq(pages));
        // No bytes are nowhere.
        assert_eq!(plan(&[copy(last, last, 0)])?.pages().count(), 0);
        Ok(())
    }

    #[test]
    fn plan_again() -> Result {
        let mut plan = plan(&[copy(1, 2 * PAGE_SIZE - 1, 2), add(0)])?;

        plan.set(&[add(3 * PAGE_SIZE)])?;
        assert!(plan.pages().eq([page(3, true)]));
        assert_eq!(plan.ops().len(), 1);
        assert_eq!(plan.bytes(), 8);
        assert!(!plan.crossing());
        Ok(())
    }

    #[test]
    fn untag() {
        // Kernel threads have no tags. What is no address is not touched in any case.
        for addr in [0, 0x1001, 1 << 46] {
            for code in 0..abi::NR_OPS {
                let mut raw = raw(code, 8, [addr, addr + 1, u64::MAX]);

                raw.untag();
                assert!(raw.args == [addr, addr + 1, u64::MAX]);
            }
        }
        let mut barrier = raw(abi::MB, 0, [u64::MAX; 3]);
        barrier.untag();
        assert!(barrier.args == [u64::MAX; 3]);
        let mut add = raw(abi::ADD, 0, [0, u64::MAX, u64::MAX]);
        add.untag();
        assert!(add.args == [0, u64::MAX, u64::MAX]);
    }

    fn in_place(vector: &[RawOp]) -> bool {
        let mut words = Words::new();

        vector.iter().all(|raw| op::decode(raw, &mut words).is_ok()) && words.in_place()
    }

    #[test]
    fn choose_in_place() {
        let compare = |a, len| raw(abi::COMPARE_EQ, len, [a, 64, 0]);
        let mb = raw(abi::MB, 0, [0; 3]);

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
        for store in [add(8), copy(0, 8, 4), raw(abi::LSHIFT, 1, [3, 1, 0])] {
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
        for bits in 0..16 {
            let bit = |n: u32| bits & (1 << n) != 0;
            let (words, own, crossing, permit) = (bit(0), bit(1), bit(2), bit(3));

            let expected = match (words, own, crossing, permit) {
                (true, true, _, _) => Operands::InPlace,
                (_, _, true, true) => Operands::Vmap,
                _ => Operands::Pinned,
            };
            assert_eq!(way::operands(words, own, crossing, permit), expected);
        }
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

    /// Runs operations, with operands of so many bytes at so many bytes in `buffer`, for the CPU with
    /// `number`.
    fn run(number: c_int, buffer: &mut [u8], ops: &[Op], at: &[(usize, usize)]) -> Result<i32> {
        let mut operands = KVec::new();

        let start = NonNull::from(&mut *buffer).cast::<u8>();
        for &(at, len) in at {
            assert!(at + len <= buffer.len());
            // SAFETY: The bytes are there.
            let start = unsafe { start.add(at) };
            let page = PAGE_SIZE - (start.addr().get() & !PAGE_MASK);
            // The second page as if it were somewhere else.
            //
            // SAFETY: As above.
            let rest = (page < len).then(|| unsafe { start.add(page) });
            operands.push(Mapped::new(start, rest), GFP_KERNEL)?;
        }
        // SAFETY: All callers in this file pass what `ops` need. It is there while `buffer` is
        // borrowed, and nobody else uses it.
        let vector = unsafe { MappedVector::new(ops, &operands) };

        // SAFETY: There is no user space yet, and interrupts are on.
        let caller = unsafe { Caller::in_syscall() };
        loop {
            if let Some(stopped_at) = exclude::here(&caller, number, &vector) {
                return Ok(stopped_at?);
            }
            let cpu = exclude::Cpu::named(number)?;
            if let Ok(stopped_at) = exclude::locked(&caller, cpu, &vector) {
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

        for (width, bits) in [
            (Width::W1, 8),
            (Width::W2, 16),
            (Width::W4, 32),
            (Width::W8, 64),
        ] {
            for (update, arg, new) in [
                (Update::Add, arg, old.wrapping_add(arg)),
                (Update::Or, arg, old | arg),
                (Update::And, arg, old & arg),
                (Update::Xor, arg, old ^ arg),
                (Update::Shl, 5, old << 5),
                (Update::Shr, 5, (old & (!0 >> (64 - bits))) >> 5),
            ] {
                let mut buffer = new_buffer()?;
                buffer[64..72].copy_from_slice(&old.to_ne_bytes());
                let op = Op::Update { update, width, arg };
                run(somewhere(), &mut buffer, &[op], &[(64, width.bytes())])?;

                let mut expected = old.to_ne_bytes();
                let new = new.to_ne_bytes();
                if cfg!(target_endian = "little") {
                    let len = width.bytes();
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

                    let op = Op::Copy { len, backward };
                    let at = [(dst, len), (src, len)];
                    run(somewhere(), &mut buffer, &[op], &at)?;
                    assert!(*buffer == *expected);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn run_comparisons_on_every_cpu() -> Result {
        let mut buffer = new_buffer()?;
        let compare = |len, equal| Op::Compare { len, equal };
        let add = Op::Update {
            update: Update::Add,
            width: Width::W8,
            arg: 1,
        };

        for cpu in Cpumask::possible().iter() {
            let cpu = cpu.as_u32() as c_int;
            for len in [0, 1, 2, 4, 5, 8, 100] {
                let ops = [compare(len, true), compare(len, false)];
                // Bytes repeat after 251.
                for same in [251, 8 * 251] {
                    let at = [(0, len), (same, len), (0, len), (same + 8, len)];
                    let last = if len == 0 { 2 } else { 0 };
                    assert_eq!(run(cpu, &mut buffer, &ops, &at)?, last);
                }
            }

            let ops = [add, compare(8, true), compare(8, true), add];
            let at = [(0, 8), (8, 8), (8 + 251, 8), (8, 8), (9 + 251, 8), (0, 8)];
            let before = buffer[0];
            assert_eq!(run(cpu, &mut buffer, &ops, &at)?, 3);
            assert_eq!(buffer[0], before.wrapping_add(1));
            buffer[0] = before;
            assert_eq!(run(cpu, &mut buffer, &[], &[])?, 0);
        }
        Ok(())
    }
}
