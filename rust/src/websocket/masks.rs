//! The masks of a client's frames.

use std::hash::{BuildHasher, RandomState};

/// Draws masks that nobody can guess who has seen those before: the hash of a counter, under keys of the operating system.
///
/// Source: RFC 6455 section 5.3; `SipHash` is a pseudorandom function.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    keys: RandomState,
    drawn: u64,
}

impl Masks {
    /// Draw the mask of the next frame.
    pub fn draw(&mut self) -> [u8; 4] {
        self.drawn = self.drawn.wrapping_add(1);
        let [a, b, c, d, ..] = self.keys.hash_one(self.drawn).to_ne_bytes();
        [a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn masks_do_not_repeat_nor_follow_from_one_another() {
        let (mut one, mut other) = (Masks::default(), Masks::default());
        let drawn: HashSet<_> = (0..1_000).map(|_| one.draw()).collect();
        assert!(drawn.len() > 990);
        assert!((0..1_000).filter(|_| drawn.contains(&other.draw())).count() < 10);
    }

    #[test]
    fn every_bit_of_a_mask_is_set_half_the_time() {
        let mut masks = Masks::default();
        let mut counts = [0_u32; 32];
        for _ in 0..10_000 {
            let mask = u32::from_ne_bytes(masks.draw());
            for (bit, count) in counts.iter_mut().enumerate() {
                *count += mask >> bit & 1;
            }
        }
        assert!(
            counts.iter().all(|count| (4_500..5_500).contains(count)),
            "{counts:?}"
        );
    }
}
