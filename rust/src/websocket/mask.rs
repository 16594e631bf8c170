//! Masks: each byte of a payload, exclusive-or the mask's bytes in turn. Masking is unmasking.
//!
//! Source: RFC 6455 section 5.3.

/// Eight bytes at a time in a loop that the compiler vectorises.
type Word = [u8; 8];

const fn wide(mask: [u8; 4]) -> u64 {
    let [a, b, c, d] = mask;
    u64::from_ne_bytes([a, b, c, d, a, b, c, d])
}

/// Mask `payload` into `out`, which is of the same length.
pub(super) fn mask_into(out: &mut [u8], payload: &[u8], mask: [u8; 4]) {
    let wide = wide(mask);
    let (words, rest) = payload.as_chunks::<{ size_of::<Word>() }>();
    let (out_words, out_rest) = out.as_chunks_mut::<{ size_of::<Word>() }>();
    for (out, word) in out_words.iter_mut().zip(words) {
        *out = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for ((out, byte), mask) in out_rest.iter_mut().zip(rest).zip(wide.to_ne_bytes()) {
        *out = byte ^ mask;
    }
}

/// Mask bytes where they stand.
pub(super) fn mask_in_place(bytes: &mut [u8], mask: [u8; 4]) {
    let wide = wide(mask);
    let (words, rest) = bytes.as_chunks_mut::<{ size_of::<Word>() }>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= mask;
    }
}

/// The mask for what follows so many masked bytes.
pub(super) fn mask_behind(mut mask: [u8; 4], length: usize) -> [u8; 4] {
    mask.rotate_left(length % 4);
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_applied_byte_by_byte() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let data: Vec<u8> = (0..100).collect();
        for length in 0..data.len() {
            let payload = &data[..length];
            let expected: Vec<u8> = payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask)
                .collect();
            let mut out = vec![0; length];
            mask_into(&mut out, payload, mask);
            assert_eq!(out, expected);
            for split in 0..=length {
                let mut out = payload.to_vec();
                let (head, tail) = out.split_at_mut(split);
                mask_in_place(head, mask);
                mask_in_place(tail, mask_behind(mask, split));
                assert_eq!(out, expected);
            }
        }
    }
}
