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
        cpu,
        map::Mapped,
        op::{
            self,
            Op,
            Update,
            User,
            Vector,
            Width, //
        },
        plan::{
            PagesOf,
            Plan,
            UserPage, //
        },
    };
    use core::ptr::NonNull;
    use kernel::{
        cpu::CpuId,
        cpumask::Cpumask,
        page::PAGE_SIZE,
        prelude::*, //
    };

    /// An argument whose bytes are `bytes`.
    fn arg(bytes: [u8; 8]) -> u64 {
        u64::from_ne_bytes(bytes)
    }

    fn raw(op: i32, len: u32, args: [u64; 3]) -> RawOp {
        RawOp { op, len, args }
    }

    fn user(addr: usize) -> User {
        User {
            addr,
            expect_fault: false,
        }
    }

    fn is_invalid(raw: RawOp) -> bool {
        Op::decode(&raw) == Err(EINVAL)
    }

    #[test]
    fn decode_comparisons_and_copies() {
        let len = 100;
        let args = [0x1000, 0x2001, arg([0, 7, 0, 0, 0, 0, 0, 0])];
        let b = User {
            addr: 0x2001,
            expect_fault: true,
        };

        for (code, equal) in [(abi::COMPARE_EQ, true), (abi::COMPARE_NE, false)] {
            assert!(
                Op::decode(&raw(code, len, args))
                    == Ok(Op::Compare {
                        a: user(0x1000),
                        b,
                        len: 100,
                        equal,
                    })
            );
        }
        assert!(
            Op::decode(&raw(abi::MEMCPY, len, args))
                == Ok(Op::Copy {
                    dst: user(0x1000),
                    src: b,
                    len: 100,
                    backward: false,
                })
        );
        for code in [abi::COMPARE_EQ, abi::COMPARE_NE, abi::MEMCPY] {
            assert!(Op::decode(&raw(code, 0, [0; 3])).is_ok());
            assert!(Op::decode(&raw(code, 4096, [0; 3])).is_ok());
            assert!(is_invalid(raw(code, 4097, [0; 3])));
            assert!(is_invalid(raw(code, u32::MAX, [0; 3])));
            for reserved in 2..8 {
                let mut bytes = [0; 8];
                bytes[reserved] = 1;
                assert!(is_invalid(raw(code, 8, [0, 0, arg(bytes)])));
            }
        }
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
            (0, u64::MAX, 4096, false),
        ] {
            let op = Op::decode(&raw(abi::MEMCPY, len, [dst, src, 0]));
            assert!(matches!(op, Ok(Op::Copy { backward, .. }) if backward == expected));
        }
    }

    #[test]
    fn decode_words() {
        for (code, update) in [
            (abi::ADD, Update::Add(3)),
            (abi::OR, Update::Or(3)),
            (abi::AND, Update::And(3)),
            (abi::XOR, Update::Xor(3)),
        ] {
            let p = User {
                addr: 0x1008,
                expect_fault: true,
            };
            let args = [0x1008, 3, arg([1, 0, 0, 0, 0, 0, 0, 0])];
            let width = Width::W8;
            let expected = Ok(Op::Update { p, width, update });
            assert!(Op::decode(&raw(code, 8, args)) == expected);

            for len in 0..4200 {
                let valid = matches!(len, 1 | 2 | 4 | 8);
                assert_eq!(Op::decode(&raw(code, len, [0x1000, 3, 0])).is_ok(), valid);
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
    }

    #[test]
    fn decode_shifts() {
        for code in [abi::LSHIFT, abi::RSHIFT] {
            for len in [1, 2, 4, 8] {
                for bits in 0..100_u32 {
                    let [b0, b1, b2, b3] = bits.to_ne_bytes();
                    let args = [0x1000, arg([b0, b1, b2, b3, 1, 0, 0, 0]), 0];
                    assert_eq!(Op::decode(&raw(code, len, args)).is_ok(), bits < 8 * len);
                }
            }
            for reserved in 5..8 {
                let mut bytes = [0; 8];
                bytes[reserved] = 1;
                assert!(is_invalid(raw(code, 8, [0, arg(bytes), 0])));
            }
            assert!(is_invalid(raw(code, 8, [0, 0, 1])));
        }
    }

    #[test]
    fn decode_codes() {
        let all = raw(abi::MB, u32::MAX, [u64::MAX; 3]);
        assert!(Op::decode(&all) == Ok(Op::Barrier));
        for code in [-1, abi::NR_OPS, i32::MIN, i32::MAX] {
            assert!(is_invalid(raw(code, 0, [0; 3])));
        }
    }

    #[test]
    fn decode_the_sum() {
        let word = raw(abi::ADD, 8, [0; 3]);
        let copy = |len| raw(abi::MEMCPY, len, [0; 3]);
        let mut ops = [word; VEC_LEN_MAX];

        ops[7] = copy(4096);
        assert!(op::decode(&ops, &mut Vector::new()).is_ok());
        ops[8] = copy(9);
        assert!(op::decode(&ops, &mut Vector::new()).is_err());
        // Barriers have no bytes.
        ops[9] = raw(abi::MB, u32::MAX, [0; 3]);
        assert!(op::decode(&ops, &mut Vector::new()).is_ok());
        let mut vector = Vector::new();
        assert!(op::decode(&[copy(4096); VEC_LEN_MAX], &mut vector).is_err());
    }

    fn copy(dst: usize, src: usize, len: usize) -> Op<User> {
        Op::Copy {
            dst: user(dst),
            src: user(src),
            len,
            backward: false,
        }
    }

    fn add(p: usize) -> Op<User> {
        Op::Update {
            p: user(p),
            width: Width::W8,
            update: Update::Add(1),
        }
    }

    fn page(number: usize, write: bool) -> UserPage {
        UserPage {
            addr: number * PAGE_SIZE,
            write,
        }
    }

    #[test]
    fn plan_pages_once() {
        let mut plan = Plan::new();
        let ops = [
            copy(3 * PAGE_SIZE - 1, 7 * PAGE_SIZE, 2),
            copy(0, 0, 0),
            add(7 * PAGE_SIZE + 8),
            copy(2 * PAGE_SIZE, 9 * PAGE_SIZE - 1, 1),
        ];

        assert!(plan.make(&ops, |_, _| true).is_some());
        let pages = [page(2, true), page(3, true), page(7, true), page(8, false)];
        assert!(plan.pages() == pages);
        let operands = [(0, 1), (2, 2), (2, 2), (0, 0), (3, 3)];
        assert!(plan.operands() == operands.map(|(first, last)| PagesOf { first, last }));
        assert!(plan.runs(true).eq([(2 * PAGE_SIZE, 2), (7 * PAGE_SIZE, 1)]));
        assert!(plan.runs(false).eq([(8 * PAGE_SIZE, 1)]));
    }

    #[test]
    fn plan_the_maximum() {
        // Far from one another, so that they meet in the index.
        let step = 2 * PAGES_MAX * PAGE_SIZE;
        for step in [step, 2 * PAGE_SIZE, 3 * PAGE_SIZE] {
            let mut ops = [Op::Barrier; VEC_LEN_MAX];
            for (i, op) in ops.iter_mut().enumerate() {
                let end = 2 * i * step + PAGE_SIZE;
                *op = copy(end - 1, end + step - 1, 2);
            }

            let mut plan = Plan::new();
            assert!(plan.make(&ops, |_, _| true).is_some());
            assert_eq!(plan.pages().len(), PAGES_MAX);
            assert!(plan.operands().iter().all(|operand| operand.crosses()));
        }
    }

    #[test]
    fn plan_only_user_space() {
        let end = 8 * PAGE_SIZE;
        let is_user = |addr, len| addr + len <= end;

        assert!(Plan::new().make(&[copy(end - 8, 0, 8)], is_user).is_some());
        assert!(Plan::new().make(&[copy(end - 7, 0, 8)], is_user).is_none());
        assert!(Plan::new().make(&[copy(0, end - 7, 8)], is_user).is_none());
        assert!(Plan::new().make(&[copy(end, 0, 0)], is_user).is_some());
        assert!(Plan::new().make(&[copy(end + 1, 0, 0)], is_user).is_none());
        assert!(Plan::new().make(&[copy(!0 - 6, 0, 8)], is_user).is_none());
    }

    /// Two operands of up to [`DATA_LEN_MAX`] bytes, and some more around them.
    fn new_buffer() -> Result<KVec<u8>> {
        let mut buffer = KVec::from_elem(0, 3 * DATA_LEN_MAX, GFP_KERNEL)?;

        for (i, byte) in buffer.iter_mut().enumerate() {
            *byte = (i % 251) as u8;
        }
        Ok(buffer)
    }

    /// Where `at` is in `buffer`.
    fn mapped(buffer: &mut [u8], at: usize, len: usize) -> Mapped<'_> {
        let bytes = &mut buffer[at..][..len];

        // SAFETY: They are there, and nobody else uses them.
        unsafe { Mapped::new(NonNull::from(bytes).cast()) }
    }

    /// Runs `ops`, whose operands are in `buffer`, on `cpu`.
    fn run(cpu: CpuId, buffer: &mut [u8], ops: &[Op<User>]) -> Result<i32> {
        let mut vector = Vector::new();

        for op in ops {
            let op = op.try_map(|at, len| {
                let operand = mapped(buffer, at.addr, len).as_ptr();

                // SAFETY: As above; `buffer` is borrowed until the vector has run.
                NonNull::new(operand).map(|operand| unsafe { Mapped::new(operand) })
            });
            op.and_then(|op| vector.push(op)).ok_or(EINVAL)?;
        }
        cpu::run_on(cpu, &vector)
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
            for (update, new) in [
                (Update::Add(arg), old.wrapping_add(arg)),
                (Update::Or(arg), old | arg),
                (Update::And(arg), old & arg),
                (Update::Xor(arg), old ^ arg),
                (Update::Shl(5), old << 5),
                (Update::Shr(5), (old & (!0 >> (64 - bits))) >> 5),
            ] {
                let mut buffer = new_buffer()?;
                buffer[64..72].copy_from_slice(&old.to_ne_bytes());
                let p = user(64);
                run(
                    CpuId::current(),
                    &mut buffer,
                    &[Op::Update { p, width, update }],
                )?;

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
                    let (low, high) = (1, 1 + distance);
                    let (dst, src) = if backward { (high, low) } else { (low, high) };
                    let mut buffer = new_buffer()?;
                    let mut expected = new_buffer()?;
                    expected.copy_within(src..src + len, dst);

                    let op = Op::Copy {
                        dst: user(dst),
                        src: user(src),
                        len,
                        backward,
                    };
                    run(CpuId::current(), &mut buffer, &[op])?;
                    assert!(*buffer == *expected);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn run_comparisons_on_every_cpu() -> Result {
        let mut buffer = new_buffer()?;
        let compare = |a, b, len, equal| Op::Compare {
            a: user(a),
            b: user(b),
            len,
            equal,
        };

        for cpu in Cpumask::possible().iter() {
            for len in [0, 1, 2, 4, 5, 8, 100] {
                // Bytes repeat after 251.
                let same = compare(0, 251, len, true);
                let differ = compare(0, 252, len, false);
                let last = if len == 0 { 2 } else { 0 };
                assert_eq!(run(cpu, &mut buffer, &[same, differ])?, last);
            }
            let ops = [
                add(0),
                compare(8, 8 + 251, 8, true),
                compare(8, 9 + 251, 8, true),
                add(0),
            ];
            let before = buffer[0];
            assert_eq!(run(cpu, &mut buffer, &ops)?, 3);
            assert_eq!(buffer[0], before.wrapping_add(1));
            buffer[0] = before;
            assert_eq!(run(cpu, &mut buffer, &[])?, 0);
        }
        Ok(())
    }
}
