//! Compressed messages through the reader, with the bytes cut in every way, and those of the specification.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::*;
use crate::websocket::{
    CloseCode, Message, Opcode, Reader, ReaderLimits, Role, frame_header, write_frame,
};

const LIMIT: usize = 10_000;

type Messages = Vec<Vec<u8>>;

/// A frame of any first byte, without a mask.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, Opcode::Binary, payload);
    out[0] = first;
    out
}

/// As a server's reader gets it.
fn masked(frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (first, payload) in frames {
        let start = out.len();
        let mask = [7, 77, 177, 0];
        crate::websocket::write_masked_frame(&mut out, Opcode::Binary, payload, false, mask);
        out[start] = *first;
    }
    out
}

fn feed(reader: &mut Reader, bytes: &[u8], size: usize) -> (Messages, Result<(), CloseCode>) {
    let mut messages = Vec::new();
    for chunk in bytes.chunks(size) {
        let result = reader.feed(chunk, &mut Vec::new(), &mut |message| {
            messages.push(match message {
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Binary(bytes) | Message::Ping(bytes) => bytes.to_vec(),
                other => format!("{other:?}").into_bytes(),
            });
            true
        });
        if result.is_err() {
            return (messages, result);
        }
    }
    (messages, Ok(()))
}

fn reader(role: Role, context_takeover: bool) -> Reader {
    let limits = ReaderLimits {
        max_message: LIMIT,
        ..ReaderLimits::default()
    };
    Reader::with_deflate(role, limits, Inflater::new(context_takeover))
}

/// Feed frames in chunks of many sizes, as either end, to a reader that expects the peer to keep its context or not.
fn check(
    takeover: bool,
    frames: &[(u8, &[u8])],
    expected: &[&[u8]],
    verdict: Result<(), CloseCode>,
) {
    let plain: Vec<u8> = frames
        .iter()
        .flat_map(|(first, payload)| frame(*first, payload))
        .collect();
    for (role, bytes) in [(Role::Client, plain), (Role::Server, masked(frames))] {
        for size in (1..20).chain([bytes.len().max(1)]) {
            let (messages, result) = feed(&mut reader(role, takeover), &bytes, size);
            assert_eq!(messages, expected, "{role:?} {size}");
            assert_eq!(result, verdict, "{role:?} {size}");
        }
    }
}

/// The messages of a peer that keeps its context.
fn deflate_all(messages: &[&[u8]]) -> Messages {
    let mut compress = Compress::new(Compression::default(), false);
    messages
        .iter()
        .map(|message| {
            let mut out = Vec::with_capacity(message.len() + 100);
            compress
                .compress_vec(message, &mut out, FlushCompress::Sync)
                .unwrap();
            out.truncate(out.len() - TAIL.len());
            out
        })
        .collect()
}

/// Source: RFC 7692 section 7.2.3.
#[test]
fn messages_of_the_specification_are_read() {
    for payload in [
        &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..],
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    ] {
        for takeover in [false, true] {
            check(takeover, &[(0xc1, payload)], &[b"Hello"], Ok(()));
            check(
                takeover,
                &[(0xc2, payload), (0xc1, payload)],
                &[b"Hello", b"Hello"],
                Ok(()),
            );
        }
    }
    let fragments: [(u8, &[u8]); 3] = [
        (0x41, b"\xf2\x48\xcd"),
        (0x89, b"?"),
        (0x80, b"\xc9\xc9\x07\x00"),
    ];
    check(false, &fragments, &[b"?", b"Hello"], Ok(()));
    let frames: [(u8, &[u8]); 2] = [
        (0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
        (0xc1, b"\xf2\x00\x11\x00\x00"),
    ];
    check(true, &frames, &[b"Hello", b"Hello"], Ok(()));
    // The second refers to the first.
    check(false, &frames, &[b"Hello"], Err(CloseCode::NOT_DEFLATED));
    // An empty message, and one without even a byte: both are in use.
    check(
        false,
        &[(0xc1, b"\x00"), (0xc1, b""), (0x41, b""), (0x80, b"")],
        &[b"", b"", b""],
        Ok(()),
    );
}

#[test]
fn messages_may_be_compressed_or_not() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    check(
        true,
        &[
            (0x81, b"a"),
            (0xc1, hello),
            (0x01, b"b"),
            (0x80, b"c"),
            (0xc1, b"\xf2\x00\x11\x00\x00"),
        ],
        &[b"a", b"Hello", b"bc", b"Hello"],
        Ok(()),
    );
}

#[test]
fn the_mark_stands_on_first_frames_and_where_it_was_agreed() {
    let error = Err(CloseCode::RESERVED_BITS);
    check(true, &[(0x41, b""), (0xc0, b"")], &[], error);
    check(true, &[(0xc9, b"")], &[], error);
    check(true, &[(0xe1, b"\x00")], &[], error);
    let mut without = Reader::new(Role::Client, ReaderLimits::default());
    assert_eq!(
        feed(&mut without, &frame(0xc1, b"\x00"), 9),
        (vec![], error)
    );
}

#[test]
fn inflated_messages_may_reach_the_limit_and_not_pass_it() {
    for takeover in [false, true] {
        for (length, passes) in [
            (LIMIT - 1, true),
            (LIMIT, true),
            (LIMIT + 1, false),
            (100 * LIMIT, false),
        ] {
            let message = vec![b'x'; length];
            let [payload] = &deflate_all(&[&message])[..] else {
                panic!()
            };
            let (half, rest) = payload.split_at(payload.len() / 2);
            let all: &[&[u8]] = &[&message];
            let (expected, verdict) = if passes {
                (all, Ok(()))
            } else {
                (&[][..], Err(CloseCode::TOO_BIG))
            };
            check(takeover, &[(0xc2, payload)], expected, verdict);
            check(takeover, &[(0x42, half), (0x80, rest)], expected, verdict);
        }
    }
    // Noise that gets longer.
    let noise = noise(LIMIT);
    let [payload] = &deflate_all(&[&noise])[..] else {
        panic!()
    };
    assert!(payload.len() > LIMIT);
    check(false, &[(0xc2, payload)], &[&noise], Ok(()));
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(next).collect()
}

#[test]
fn what_cannot_fit_is_refused_when_it_is_announced() {
    for head in [&b"\xc2\x7f\0\0\0\0\x40\0\0\0"[..], b"\xc2\x7e\x2b\x00"] {
        let result = feed(&mut reader(Role::Client, true), head, 99);
        assert_eq!(result, (vec![], Err(CloseCode::TOO_BIG)));
    }
    // Empty blocks that become nothing, in many fragments.
    let mut blocks = frame(0x42, b"");
    for _ in 0..100 {
        blocks.extend(frame(0x00, &b"\x00\x00\x00\xff\xff".repeat(40)));
    }
    let result = feed(&mut reader(Role::Client, true), &blocks, 99);
    assert_eq!(result, (vec![], Err(CloseCode::TOO_BIG)));
}

#[test]
fn bombs_stop_at_the_limit() {
    // Thirty megabytes from thirty kilobytes, alone and with the context of a message that was harmless.
    let zeros = vec![0; 30_000_000];
    for messages in [&[&zeros[..]][..], &[&zeros[..100], &zeros]] {
        let payloads = deflate_all(messages);
        let mut bytes = Vec::new();
        for payload in &payloads {
            frame_header(&mut bytes, Opcode::Binary, payload.len(), true);
            bytes.extend_from_slice(payload);
        }
        let limits = ReaderLimits {
            max_message: 1_000_000,
            ..ReaderLimits::default()
        };
        let mut reader = Reader::with_deflate(Role::Client, limits, Inflater::new(true));
        let (handed_on, result) = feed(&mut reader, &bytes, bytes.len());
        assert_eq!(handed_on.len(), messages.len() - 1);
        assert_eq!(result, Err(CloseCode::TOO_BIG));

        let mut inflater = Inflater::new(true);
        let mut out = Vec::new();
        let result = inflater.inflate(&payloads[0], &mut out, 1_000_000);
        assert_eq!(result.is_err(), messages.len() == 1);
        assert!(out.capacity() <= 1_000_001);
    }
}

#[test]
fn what_is_not_deflated_is_refused() {
    let error = Err(CloseCode::NOT_DEFLATED);
    for payload in [
        // A block of the fourth type, a wrong length, and a distance into nothing.
        &b"\x06"[..],
        b"\x00\x05\x00\xfa\x00Hello",
        b"\xf2\x00\x11\x00\x00",
    ] {
        check(true, &[(0x81, b"a"), (0xc1, payload)], &[b"a"], error);
    }
    // Streams that end and begin anew: each costs an inflater, so there is a limit.
    let ends = |count| [&b"\x03\x00".repeat(count)[..], b"\x00"].concat();
    let most = ends(8);
    check(true, &[(0xc1, &most), (0xc1, &most)], &[b"", b""], Ok(()));
    check(true, &[(0xc1, &ends(9))], &[], error);
}

#[test]
fn inflated_texts_are_utf8() {
    let [payload, euro] = &deflate_all(&[b"a\xffb", "€".as_bytes()])[..] else {
        panic!()
    };
    check(true, &[(0xc1, payload)], &[], Err(CloseCode::INVALID_UTF8));
    check(
        true,
        &[(0xc2, payload), (0xc1, euro)],
        &[b"a\xffb", "€".as_bytes()],
        Ok(()),
    );
    // As soon as it shows, not at the end.
    check(
        true,
        &[(0x41, payload), (0x89, b"?")],
        &[],
        Err(CloseCode::INVALID_UTF8),
    );
}

#[test]
fn connections_without_a_context_hold_no_inflater() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    for takeover in [false, true] {
        let mut inflater = Inflater::new(takeover);
        assert!(!inflater.holds_memory());
        let mut out = Vec::new();
        inflater.inflate(hello, &mut out, LIMIT).unwrap();
        assert!(inflater.holds_memory());
        inflater.end(&mut out, LIMIT).unwrap();
        assert_eq!(out, b"Hello");
        assert_eq!(inflater.holds_memory(), takeover);
    }
}

#[test]
fn messages_of_ours_stand_alone_and_are_read_back() {
    let text = "[\"message\",\"héllo\"]".repeat(200);
    for bits in 0..20 {
        let mut deflater = Deflater::new(bits, DEFAULT_LEVEL);
        let first = deflater.compress(text.as_bytes()).unwrap();
        assert!(first.len() < text.len());
        assert_eq!(deflater.compress(text.as_bytes()).unwrap(), first);
        check(
            false,
            &[(0xc1, &first), (0xc1, &first)],
            &[text.as_bytes(); 2],
            Ok(()),
        );
    }
    let first = compress_message(text.as_bytes()).unwrap();
    assert_eq!(
        Deflater::new(15, DEFAULT_LEVEL).compress(text.as_bytes()),
        Some(first)
    );
}

#[test]
fn windows_are_kept_to() {
    // Repeats at a distance that only the larger windows hold.
    let block = noise(3_000);
    let message = [&block[..], &block].concat();
    for bits in 9..=15 {
        let compressed = Deflater::new(bits, DEFAULT_LEVEL).compress(&message);
        assert_eq!(compressed.is_some(), bits >= 12, "{bits}");
        let message = [&block[..], &[b'x'; 100]].concat();
        let Some(compressed) = Deflater::new(bits, DEFAULT_LEVEL).compress(&message) else {
            panic!()
        };
        let mut out = Vec::with_capacity(4_000);
        Decompress::new_with_window_bits(false, bits)
            .decompress_vec(&compressed, &mut out, FlushDecompress::Sync)
            .unwrap();
        assert_eq!(out, message);
    }
}

#[test]
fn what_does_not_get_shorter_is_left_alone() {
    assert_eq!(compress_message(b""), None);
    assert_eq!(compress_message(b"ab"), None);
    assert_eq!(compress_message(&noise(10_000)), None);
    for length in 0..200 {
        let message = vec![b'x'; length];
        match compress_message(&message) {
            Some(compressed) => assert!(compressed.len() < length),
            None => assert!(length < 10, "{length}"),
        }
    }
}

#[test]
fn levels_trade_time_for_size() {
    let numbers: Vec<_> = (0..2_000).map(|n| (n, n * n)).collect();
    let text = format!("{numbers:?}");
    let compressed = |level| {
        let mut deflater = Deflater::new(15, level);
        // What does not get shorter leaves nothing behind, though it is given up in the middle.
        assert_eq!(deflater.compress(&noise(100_000)), None);
        let compressed = deflater.compress(text.as_bytes()).unwrap();
        check_inflated(&compressed, text.as_bytes());
        compressed
    };
    let sizes: Vec<_> = (1..=9).map(|level| compressed(level).len()).collect();
    assert!(sizes[5] < sizes[0], "{sizes:?}");
    assert_eq!(
        (compressed(0), compressed(10)),
        (compressed(1), compressed(9))
    );
}

fn check_inflated(compressed: &[u8], message: &[u8]) {
    let mut out = Vec::new();
    let mut inflater = Inflater::new(false);
    inflater.inflate(compressed, &mut out, 1_000_000).unwrap();
    inflater.end(&mut out, 1_000_000).unwrap();
    assert_eq!(out, message);
}
