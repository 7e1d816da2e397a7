// SPDX-License-Identifier: GPL-2.0

//! Tests of the pure decisions.

use kernel::prelude::*;

#[kunit_tests(rust_rseq)]
mod decisions {
    use crate::{
        abi::{
            area,
            Ids,
            Version,
            FLAG_SLICE_EXT_DEFAULT_ON,
            FLAG_UNREGISTER, //
        },
        cs::{
            debug_verdict,
            Descriptor,
            Field,
            Verdict, //
        },
        registration::{
            may_register,
            may_unregister,
            version, //
        },
        task::Registration, //
    };
    use kernel::{
        prelude::*,
        uaccess::{
            access::Fault,
            UserPtr, //
        },
    };

    /// A verdict, without the address that it was made for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Said {
        Clear,
        Abort,
        Invalid,
    }

    impl From<Verdict> for Said {
        fn from(verdict: Verdict) -> Self {
            match verdict {
                Verdict::Clear => Said::Clear,
                Verdict::Abort(_) => Said::Abort,
                Verdict::Invalid => Said::Invalid,
            }
        }
    }

    fn verdict(section: Descriptor, ip: u64, task_size: u64) -> Said {
        section.verdict(ip, task_size).into()
    }

    const TASK_SIZE: u64 = (1 << 47) - 4096;

    const SECTION: Descriptor = Descriptor {
        start_ip: 0x1000,
        post_commit_offset: 0x10,
        abort_ip: 0x2000,
    };

    #[test]
    fn verdict_around_the_section() {
        for (ip, said) in [
            (0, Said::Clear),
            (0xfff, Said::Clear),
            (0x1000, Said::Abort),
            (0x1001, Said::Abort),
            (0x100f, Said::Abort),
            (0x1010, Said::Clear),
            (TASK_SIZE - 1, Said::Clear),
            (u64::MAX, Said::Clear),
        ] {
            assert_eq!(verdict(SECTION, ip, TASK_SIZE), said);
        }
    }

    #[test]
    fn verdict_about_the_abort_ip() {
        for (abort_ip, said) in [
            (0, Said::Invalid),
            (3, Said::Invalid),
            (4, Said::Abort),
            (TASK_SIZE - 1, Said::Abort),
            (TASK_SIZE, Said::Invalid),
            (1 << 47, Said::Invalid),
            (0xffff_ffff_8000_0000, Said::Invalid),
            (u64::MAX, Said::Invalid),
        ] {
            let section = Descriptor {
                abort_ip,
                ..SECTION
            };

            assert_eq!(verdict(section, 0x1000, TASK_SIZE), said);
            // Nobody cares outside of the section.
            assert_eq!(verdict(section, 0x1010, TASK_SIZE), Said::Clear);
        }
    }

    #[test]
    fn verdict_about_the_abort_ip_of_a_32_bit_task() {
        let section = Descriptor {
            abort_ip: 0xffff_e000,
            ..SECTION
        };

        assert_eq!(verdict(section, 0x1000, 0xffff_e000), Said::Invalid);
        assert_eq!(verdict(section, 0x1000, TASK_SIZE), Said::Abort);
    }

    #[test]
    fn verdict_with_wrap_around() {
        let empty = Descriptor {
            post_commit_offset: 0,
            ..SECTION
        };
        assert_eq!(verdict(empty, 0x1000, TASK_SIZE), Said::Clear);

        // From the last byte of the address space on: its end wraps to 0xf.
        let wrapping = Descriptor {
            start_ip: u64::MAX,
            ..SECTION
        };
        assert_eq!(verdict(wrapping, u64::MAX, TASK_SIZE), Said::Abort);
        assert_eq!(verdict(wrapping, 0xe, TASK_SIZE), Said::Abort);
        assert_eq!(verdict(wrapping, 0xf, TASK_SIZE), Said::Clear);

        // Everything but the byte before the start.
        let longest = Descriptor {
            post_commit_offset: u64::MAX,
            ..SECTION
        };
        assert_eq!(verdict(longest, 0xffe, TASK_SIZE), Said::Abort);
        assert_eq!(verdict(longest, 0xfff, TASK_SIZE), Said::Clear);
    }

    /// The verdict of debug mode about `section` with `head`, and how many fields it read.
    fn debug(ip: u64, section: Descriptor, head: u64) -> (Said, usize) {
        let mut reads = 0;
        let result = debug_verdict(ip, TASK_SIZE, |field| {
            reads += 1;
            Ok(match field {
                Field::Head => head,
                Field::StartIp => section.start_ip,
                Field::PostCommitOffset => section.post_commit_offset,
                Field::AbortIp => section.abort_ip,
            })
        });

        match result {
            Ok((verdict, _)) => (verdict.into(), reads),
            Err(Fault) => (Said::Invalid, 0),
        }
    }

    #[test]
    fn debug_verdict_around_the_section() {
        assert_eq!(debug(0xfff, SECTION, 0), (Said::Clear, 1));
        assert_eq!(debug(0x1000, SECTION, 0), (Said::Abort, 4));
        assert_eq!(debug(0x100f, SECTION, 0), (Said::Abort, 4));
        assert_eq!(debug(0x1010, SECTION, 0), (Said::Clear, 2));
        // Version and flags matter inside only.
        assert_eq!(debug(0x1000, SECTION, 1), (Said::Invalid, 4));
        assert_eq!(debug(0x1000, SECTION, 1 << 32), (Said::Invalid, 4));
        assert_eq!(debug(0x1010, SECTION, 1), (Said::Clear, 2));
    }

    #[test]
    fn debug_verdict_about_the_bounds() {
        for (start_ip, post_commit_offset, said) in [
            (TASK_SIZE, 0, (Said::Invalid, 1)),
            (u64::MAX, 0, (Said::Invalid, 1)),
            (TASK_SIZE - 1, 0, (Said::Clear, 2)),
            (TASK_SIZE - 1, 1, (Said::Invalid, 2)),
            (TASK_SIZE - 2, 1, (Said::Clear, 2)),
            (0x1000, TASK_SIZE - 0x1000, (Said::Invalid, 2)),
            (0x1000, u64::MAX, (Said::Invalid, 2)),
            (0x1000, u64::MAX - 0xfff, (Said::Invalid, 2)),
        ] {
            let section = Descriptor {
                start_ip,
                post_commit_offset,
                ..SECTION
            };

            assert_eq!(debug(TASK_SIZE - 1, section, 0), said);
        }
    }

    #[test]
    fn debug_verdict_about_the_abort_ip() {
        for (abort_ip, said) in [
            (0, Said::Invalid),
            (3, Said::Invalid),
            (4, Said::Abort),
            (0xfff, Said::Abort),
            (0x1000, Said::Invalid),
            (0x100f, Said::Invalid),
            (0x1010, Said::Abort),
            (TASK_SIZE - 1, Said::Abort),
            (TASK_SIZE, Said::Invalid),
            (u64::MAX, Said::Invalid),
        ] {
            let section = Descriptor {
                abort_ip,
                ..SECTION
            };

            assert_eq!(debug(0x1000, section, 0).0, said);
        }
    }

    #[test]
    fn debug_verdict_passes_faults_on() {
        for bad in [
            Field::StartIp,
            Field::PostCommitOffset,
            Field::AbortIp,
            Field::Head,
        ] {
            let result = debug_verdict(0x1000, TASK_SIZE, |field| {
                if field == bad {
                    return Err(Fault);
                }
                Ok(match field {
                    Field::Head => 0,
                    Field::StartIp => SECTION.start_ip,
                    Field::PostCommitOffset => SECTION.post_commit_offset,
                    Field::AbortIp => SECTION.abort_ip,
                })
            });
            assert!(result.is_err());
        }
    }

    #[test]
    fn length_and_alignment() {
        // The original area.
        assert_eq!(version(0x1000, 32), Ok(Version::V1));
        assert_eq!(version(0x1020, 32), Ok(Version::V1));
        for address in [0x1001, 0x1004, 0x1008, 0x1010, 0x101f] {
            assert_eq!(version(address, 32), Err(EINVAL));
        }
        // Too small, and too small for all fields.
        for len in [0, 1, 31] {
            assert_eq!(version(0x1000, len), Err(EINVAL));
        }
        // Larger ones.
        assert_eq!(area::FEATURE_SIZE, 33);
        assert_eq!(area::ALIGN, 64);
        for len in [33, 34, 64, 4096, u32::MAX] {
            assert_eq!(version(0x1000, len), Ok(Version::V2));
            assert_eq!(version(0x1040, len), Ok(Version::V2));
            for address in [0x1001, 0x1020, 0x103f] {
                assert_eq!(version(address, len), Err(EINVAL));
            }
        }
        // Whether it is user space is another question.
        assert_eq!(version(0, 32), Ok(Version::V1));
        assert_eq!(version(usize::MAX - 63, 64), Ok(Version::V2));
    }

    fn registration(address: usize, len: u32, sig: u32) -> Registration {
        Registration {
            usrptr: UserPtr::from_addr(address),
            len,
            sig,
        }
    }

    #[test]
    fn registering() {
        let area = registration(0x1000, 32, 7);

        assert_eq!(may_register(None, area, 0), Ok(Version::V1));
        assert_eq!(
            may_register(None, area, FLAG_SLICE_EXT_DEFAULT_ON),
            Ok(Version::V1)
        );
        for flags in [4, 1 << 30, i32::MIN, !FLAG_UNREGISTER] {
            assert_eq!(may_register(None, area, flags), Err(EINVAL));
            // Before anything else.
            assert_eq!(may_register(Some(area), area, flags), Err(EINVAL));
        }
        assert_eq!(
            may_register(None, registration(0x1001, 32, 7), 0),
            Err(EINVAL)
        );

        assert_eq!(may_register(Some(area), area, 0), Err(EBUSY));
        assert_eq!(
            may_register(Some(area), registration(0x1020, 32, 7), 0),
            Err(EINVAL)
        );
        assert_eq!(
            may_register(Some(area), registration(0x1000, 64, 7), 0),
            Err(EINVAL)
        );
        assert_eq!(
            may_register(Some(area), registration(0x1000, 32, 8), 0),
            Err(EPERM)
        );
        // The address goes first.
        assert_eq!(
            may_register(Some(area), registration(0x1020, 32, 8), 0),
            Err(EINVAL)
        );
    }

    #[test]
    fn unregistering() {
        let area = registration(0x1000, 32, 7);

        assert_eq!(may_unregister(Some(area), area, FLAG_UNREGISTER), Ok(()));
        assert_eq!(may_unregister(None, area, FLAG_UNREGISTER), Err(EINVAL));
        assert_eq!(
            may_unregister(None, registration(0, 32, 7), FLAG_UNREGISTER),
            Err(EINVAL)
        );
        for flags in [FLAG_SLICE_EXT_DEFAULT_ON, 4, i32::MIN] {
            assert_eq!(
                may_unregister(Some(area), area, FLAG_UNREGISTER | flags),
                Err(EINVAL)
            );
        }
        for (other, error) in [
            (registration(0x1020, 32, 7), EINVAL),
            (registration(0x1000, 64, 7), EINVAL),
            (registration(0x1000, 32, 8), EPERM),
            (registration(0x1000, 64, 8), EINVAL),
        ] {
            assert_eq!(
                may_unregister(Some(area), other, FLAG_UNREGISTER),
                Err(error)
            );
        }
    }

    #[test]
    fn packing() {
        let ids = Ids {
            cpu_id: 0x0102_0304,
            node_id: 0x0506_0708,
            mm_cid: 0x890a_0b0c,
        };

        assert_eq!(ids.mm_cid_and_slice_ctrl(), 0x890a_0b0c);
    }

    #[test]
    #[cfg(CONFIG_RSEQ_SLICE_EXTENSION)]
    fn slice_extension() {
        use crate::slice::{
            ctrl,
            initial_flags, //
        };

        // Byte 0 is the request, byte 1 the grant; the rest is left alone.
        assert_eq!(ctrl::answer(0), None);
        assert_eq!(ctrl::answer(0xffff_ff00), None);
        assert_eq!(ctrl::answer(1), Some(0x100));
        assert_eq!(ctrl::answer(0xff), Some(0x100));
        assert_eq!(ctrl::answer(0xaabb_ff01), Some(0xaabb_0100));
        assert_eq!(ctrl::expected(true), 0x100);
        assert_eq!(ctrl::expected(false), 0);

        assert_eq!(initial_flags(false, true), 0);
        assert_eq!(initial_flags(true, false), 1 << 4);
        assert_eq!(initial_flags(true, true), 1 << 4 | 1 << 5);
    }
}
