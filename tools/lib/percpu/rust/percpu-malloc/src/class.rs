// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
//! Sizes of blocks: multiples of 16 up to 128, then four for each doubling.

/// Blocks above that are runs of pages.
pub(crate) const LARGEST: usize = 32 << 10;
const FINE: usize = 8;
/// Classes 1 to COUNT - 1; 0 is none.
pub(crate) const COUNT: usize = 1 + FINE + 4 * 8;

const SIZES: [usize; COUNT] = {
    let mut sizes = [0; COUNT];
    let mut class = 1;
    while class < COUNT {
        sizes[class] = if class <= FINE {
            16 * class
        } else {
            let step = class - FINE - 1;
            (128 << (step / 4)) / 4 * (step % 4 + 5)
        };
        class += 1;
    }
    sizes
};

const OF_SIZE: [u8; LARGEST / 16 + 1] = {
    let mut classes = [1; LARGEST / 16 + 1];
    let (mut n, mut class) = (1, 1);
    while n < classes.len() {
        if n * 16 > SIZES[class] {
            class += 1;
        }
        classes[n] = class as u8;
        n += 1;
    }
    classes
};

pub(crate) fn size(class: usize) -> usize {
    SIZES[class]
}

/// The class of a size up to LARGEST.
#[inline(always)]
pub(crate) fn of(size: usize) -> Option<usize> {
    (size <= LARGEST).then(|| OF_SIZE[(size + 15) >> 4] as usize)
}

/// The first class from that of a size on, of which all blocks are aligned so.
pub(crate) fn of_aligned(size: usize, align: usize) -> Option<usize> {
    (of(size)?..COUNT).find(|class| SIZES[*class] % align == 0)
}

/// How many blocks a cache may have: 64 KiB, but a few of the large ones and not too many small.
pub(crate) fn limit(class: usize) -> usize {
    ((64 << 10) / SIZES[class]).clamp(4, 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_has_the_smallest_class_that_fits() {
        assert_eq!(size(COUNT - 1), LARGEST);
        for n in 0..=LARGEST {
            let class = of(n).unwrap();
            assert!(size(class) >= n && size(class) % 16 == 0, "{n}");
            assert!(class == 1 || size(class - 1) < n, "{n}");
        }
        assert_eq!((of(LARGEST + 1), of(usize::MAX)), (None, None));
    }

    #[test]
    fn aligned_classes() {
        for shift in 4..=15 {
            let align = 1 << shift;
            for n in [0, 1, align - 1, align, (align + 1).min(LARGEST), LARGEST] {
                let class = of_aligned(n, align).unwrap();
                assert!(size(class) >= n && size(class) % align == 0);
            }
        }
    }

    #[test]
    fn little_is_wasted() {
        for class in FINE + 1..COUNT {
            assert!(size(class) * 4 <= size(class - 1) * 5);
        }
    }
}
