//! Each rule of the reader, with the bytes cut in every way: in two at each byte, and into pieces of one to nine bytes.

use super::super::{close_payload, frame_header, write_frame, write_masked_frame};
use super::*;

const LIMITS: ReaderLimits = ReaderLimits {
    max_message: 1_000,
    max_fragments: 6,
};
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

#[derive(Clone, Debug, Eq, PartialEq)]
enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

impl From<Message<'_>> for Owned {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Message::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Message::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Message::Close(code) => Self::Close(code),
        }
    }
}

fn text(text: &str) -> Owned {
    Owned::Text(text.to_owned())
}

/// A frame of any first byte, with a mask or without.
fn raw(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match role {
        Role::Server => write_masked_frame(&mut out, Opcode::Binary, payload, false, MASK),
        Role::Client => write_frame(&mut out, Opcode::Binary, payload),
    }
    out[0] = first;
    out
}

fn feed(reader: &mut Reader, chunks: &[&[u8]]) -> (Vec<Owned>, Result<(), CloseCode>) {
    let mut messages = Vec::new();
    let mut scratch = Vec::new();
    for chunk in chunks {
        let result = reader.feed(chunk, &mut scratch, &mut |message| {
            messages.push(message.into());
            true
        });
        if result.is_err() {
            return (messages, result);
        }
    }
    (messages, Ok(()))
}

/// Feed frames in every chunking, as either end of the connection.
fn check(frames: &[(u8, &[u8])], expected: &[Owned], verdict: Result<(), CloseCode>) {
    for role in [Role::Server, Role::Client] {
        let bytes: Vec<u8> = frames
            .iter()
            .flat_map(|(first, payload)| raw(role, *first, payload))
            .collect();
        let mut chunkings: Vec<Vec<&[u8]>> = (0..=bytes.len())
            .map(|place| vec![&bytes[..place], &bytes[place..]])
            .collect();
        chunkings.extend((1..10).map(|size| bytes.chunks(size).collect()));
        for chunks in chunkings {
            let mut reader = Reader::new(role, LIMITS);
            let (messages, result) = feed(&mut reader, &chunks);
            assert_eq!(messages, expected, "{role:?} {chunks:?}");
            assert_eq!(result, verdict, "{role:?} {chunks:?}");
            if expected.len() == frames.len() || result.is_err() {
                assert_eq!(reader.buffer.capacity(), 0, "{role:?} {chunks:?}");
            }
            if result.is_err() {
                assert_eq!(feed(&mut reader, &chunks), (vec![], Ok(())));
            }
        }
    }
}

impl Owned {
    fn binary(length: usize) -> Self {
        Self::Binary(vec![b'x'; length])
    }
}

#[test]
fn messages_come_whole_and_in_order() {
    check(
        &[
            (0x81, b"Hello"),
            (0x82, &[0, 1, 255]),
            (0x81, b""),
            (0x82, b""),
            (0x89, b"ping"),
            (0x8a, b""),
            (0x81, "é€😀".as_bytes()),
            (0x88, b"\x03\xe8bye"),
        ],
        &[
            text("Hello"),
            Owned::Binary(vec![0, 1, 255]),
            text(""),
            Owned::Binary(vec![]),
            Owned::Ping(b"ping".to_vec()),
            Owned::Pong(vec![]),
            text("é€😀"),
            Owned::Close(Some(1000)),
        ],
        Ok(()),
    );
}

#[test]
fn lengths_of_each_size_are_read() {
    for length in [124, 125, 126, 127, 255, 256, 999, 1_000] {
        check(
            &[(0x82, &vec![b'x'; length])],
            &[Owned::binary(length)],
            Ok(()),
        );
    }
}

#[test]
fn fragments_become_one_message() {
    check(
        &[
            (0x01, b"Hel"),
            (0x00, b""),
            (0x00, b"l"),
            (0x80, b"o"),
            (0x82, b"x"),
        ],
        &[text("Hello"), Owned::binary(1)],
        Ok(()),
    );
    check(&[(0x02, b"x"), (0x80, b"")], &[Owned::binary(1)], Ok(()));
    check(&[(0x01, b""), (0x80, b"")], &[text("")], Ok(()));
}

#[test]
fn control_frames_may_stand_between_fragments() {
    let long = [b'p'; 125];
    check(
        &[
            (0x01, b"Hel"),
            (0x89, b"?"),
            (0x8a, &long),
            (0x00, b"l"),
            (0x89, b""),
            (0x80, b"o"),
        ],
        &[
            Owned::Ping(b"?".to_vec()),
            Owned::Pong(long.to_vec()),
            Owned::Ping(vec![]),
            text("Hello"),
        ],
        Ok(()),
    );
    check(
        &[(0x01, b"Hel"), (0x88, b""), (0x80, b"lo")],
        &[Owned::Close(None)],
        Ok(()),
    );
}

#[test]
fn nothing_comes_after_a_close_frame() {
    check(
        &[(0x88, b""), (0x81, b"late"), (0xff, b"")],
        &[Owned::Close(None)],
        Ok(()),
    );
}

#[test]
fn frames_that_may_not_stand_there_are_refused() {
    for (first, error) in [
        (0x80, CloseCode::NOTHING_TO_CONTINUE),
        (0x00, CloseCode::NOTHING_TO_CONTINUE),
        (0xc1, CloseCode::RESERVED_BITS),
        (0xa1, CloseCode::RESERVED_BITS),
        (0x91, CloseCode::RESERVED_BITS),
        (0xc9, CloseCode::RESERVED_BITS),
        (0x83, CloseCode::UNKNOWN_OPCODE),
        (0x87, CloseCode::UNKNOWN_OPCODE),
        (0x8b, CloseCode::UNKNOWN_OPCODE),
        (0x8f, CloseCode::UNKNOWN_OPCODE),
        (0x09, CloseCode::FRAGMENTED_CONTROL),
        (0x08, CloseCode::FRAGMENTED_CONTROL),
    ] {
        check(&[(0x81, b"a"), (first, b"b")], &[text("a")], Err(error));
        assert_eq!(error.0, 1002);
    }
    for first in [0x81, 0x01, 0x82, 0x02] {
        let error = Err(CloseCode::MESSAGE_IN_MESSAGE);
        check(&[(0x01, b"a"), (first, b"b")], &[], error);
        check(&[(0x02, b""), (0x00, b""), (first, b"")], &[], error);
    }
    check(
        &[(0x01, b"a"), (0x80, b"b"), (0x80, b"c")],
        &[text("ab")],
        Err(CloseCode::NOTHING_TO_CONTINUE),
    );
    check(
        &[(0x01, b"a"), (0xc0, b"b")],
        &[],
        Err(CloseCode::RESERVED_BITS),
    );
    for first in [0x88, 0x89, 0x8a] {
        check(&[(first, &[b'x'; 126])], &[], Err(CloseCode::LONG_CONTROL));
    }
}

#[test]
fn each_end_refuses_frames_masked_in_the_way_of_its_own() {
    for (role, other, error) in [
        (Role::Server, Role::Client, CloseCode::NOT_MASKED),
        (Role::Client, Role::Server, CloseCode::MASKED),
    ] {
        for first in [0x81, 0x89, 0x01] {
            let bytes = raw(other, first, b"x");
            let mut reader = Reader::new(role, LIMITS);
            assert_eq!(feed(&mut reader, &[&bytes]), (vec![], Err(error)));
        }
    }
}

#[test]
fn close_frames_are_checked() {
    for code in [1000, 1001, 1003, 1007, 1014, 3000, 4999] {
        check(
            &[(0x88, &close_payload(Some(code)))],
            &[Owned::Close(Some(code))],
            Ok(()),
        );
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        check(
            &[(0x88, &close_payload(Some(code)))],
            &[],
            Err(CloseCode::ILLEGAL_CLOSE),
        );
    }
    check(&[(0x88, b"\x03")], &[], Err(CloseCode::ILLEGAL_CLOSE));
    check(
        &[(0x88, b"\x03\xe8\xff")],
        &[],
        Err(CloseCode::INVALID_UTF8),
    );
}

#[test]
fn texts_are_utf8_as_a_whole() {
    // Characters may be cut by fragments.
    check(
        &[
            (0x01, b"\xe2"),
            (0x00, b"\x82"),
            (0x00, b""),
            (0x80, b"\xac!"),
        ],
        &[text("€!")],
        Ok(()),
    );
    let error = Err(CloseCode::INVALID_UTF8);
    for bad in [
        &b"\xff"[..],
        b"\xc3",
        b"a\xf0\x9f\x98",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\xf4\x90\x80\x80",
    ] {
        check(&[(0x81, b"a"), (0x81, bad)], &[text("a")], error);
        check(&[(0x01, b"a"), (0x00, bad), (0x80, b"a")], &[], error);
        check(&[(0x01, b"a"), (0x80, bad)], &[], error);
        check(&[(0x82, bad)], &[Owned::Binary(bad.to_vec())], Ok(()));
    }
    // What one text leaves unfinished is not the beginning of the next, nor does a ping come between.
    check(
        &[(0x01, b"\xe2\x82"), (0x89, b"\xac"), (0x80, b"")],
        &[Owned::Ping(b"\xac".to_vec())],
        error,
    );
    check(
        &[(0x02, b"\xe2"), (0x80, b"\x82"), (0x81, b"\xac")],
        &[Owned::Binary(b"\xe2\x82".to_vec())],
        error,
    );
}

#[test]
fn faults_of_texts_show_before_their_end() {
    for role in [Role::Server, Role::Client] {
        let bytes = raw(role, 0x01, b"abc\xffdefgh");
        let fault = bytes.len() - 6;
        let mut reader = Reader::new(role, LIMITS);
        assert_eq!(feed(&mut reader, &[&bytes[..fault]]), (vec![], Ok(())));
        let error = Err(CloseCode::INVALID_UTF8);
        assert_eq!(feed(&mut reader, &[&bytes[fault..=fault]]), (vec![], error));
    }
}

#[test]
fn messages_may_reach_their_limit_and_not_pass_it() {
    let [most, more, half] = [1_000, 1_001, 500].map(|length| vec![b'x'; length]);
    check(&[(0x82, &most)], &[Owned::binary(1_000)], Ok(()));
    check(&[(0x82, &more)], &[], Err(CloseCode::TOO_BIG));
    check(
        &[(0x02, &half), (0x80, &half)],
        &[Owned::binary(1_000)],
        Ok(()),
    );
    check(
        &[
            (0x02, &half),
            (0x89, &[b'p'; 125]),
            (0x00, &half),
            (0x80, b"x"),
        ],
        &[Owned::Ping(vec![b'p'; 125])],
        Err(CloseCode::TOO_BIG),
    );
}

#[test]
fn lengths_are_refused_when_they_are_announced() {
    for (head, error) in [
        (
            &b"\x82\xff\x00\x00\x00\x00\x00\x00\x03\xe9"[..],
            CloseCode::TOO_BIG,
        ),
        (
            b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff",
            CloseCode::TOO_BIG,
        ),
        (
            b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            CloseCode::ILLEGAL_LENGTH,
        ),
    ] {
        let mut reader = Reader::new(Role::Server, LIMITS);
        let head = [head, &MASK].concat();
        assert_eq!(feed(&mut reader, &[&head]), (vec![], Err(error)));
        // A limit that is none is no reason to believe an announcement.
        let limits = ReaderLimits {
            max_message: usize::MAX,
            ..LIMITS
        };
        let mut reader = Reader::new(Role::Server, limits);
        if error == CloseCode::TOO_BIG {
            assert_eq!(feed(&mut reader, &[&head, b"abc"]), (vec![], Ok(())));
            assert!(reader.buffer.capacity() < 16);
        }
    }
}

#[test]
fn fragments_may_reach_their_limit_and_not_pass_it() {
    let frame: (u8, &[u8]) = (0x00, b"");
    let mut frames = vec![(0x02, &b"x"[..]), frame, frame, frame, frame, (0x80, b"x")];
    check(&frames, &[Owned::binary(2)], Ok(()));
    // Counted anew for each message, and pings do not count.
    let twice = [&frames[..], &[(0x89, b"")], &frames[..]].concat();
    check(
        &twice,
        &[Owned::binary(2), Owned::Ping(vec![]), Owned::binary(2)],
        Ok(()),
    );
    frames.insert(1, frame);
    check(&frames, &[], Err(CloseCode::TOO_MANY_FRAGMENTS));
    assert_eq!(CloseCode::TOO_MANY_FRAGMENTS.0, 1008);
}

#[test]
fn a_flood_of_fragments_ends_at_the_limit() {
    for payload in [&b""[..], b"x"] {
        let frame = raw(Role::Server, 0x00, payload);
        let bytes = [raw(Role::Server, 0x02, b""), frame.repeat(1_000_000)].concat();
        let mut reader = Reader::new(Role::Server, ReaderLimits::default());
        let mut scratch = Vec::new();
        let mut read = 0;
        for chunk in bytes.chunks(65_536) {
            read += chunk.len();
            if let Err(error) = reader.feed(chunk, &mut scratch, &mut |_| true) {
                assert_eq!(error, CloseCode::TOO_MANY_FRAGMENTS);
                break;
            }
        }
        assert_eq!(read, 65_536);
    }
}

#[test]
fn a_sink_that_has_enough_ends_the_reading() {
    let frames = [
        raw(Role::Server, 0x01, b"a"),
        raw(Role::Server, 0x80, b"b"),
        raw(Role::Server, 0x81, b"c"),
    ]
    .concat();
    for stop in 1..3 {
        let mut reader = Reader::new(Role::Server, LIMITS);
        let mut count = 0;
        for byte in frames.chunks(3) {
            let result = reader.feed(byte, &mut Vec::new(), &mut |_| {
                count += 1;
                count < stop
            });
            assert_eq!(result, Ok(()));
        }
        assert_eq!(count, stop);
        assert!(reader.closed);
        assert_eq!(reader.buffer.capacity(), 0);
    }
}

#[test]
fn memory_follows_what_has_come() {
    let message = vec![b'x'; 1_000_000];
    for (first, size) in [(0x81, 1_400), (0x82, 65_536), (0x82, 300_000)] {
        let bytes = raw(Role::Server, first, &message);
        let mut reader = Reader::new(Role::Server, ReaderLimits::default());
        let mut scratch = Vec::new();
        let mut fed = 0;
        for chunk in bytes.chunks(size) {
            reader.feed(chunk, &mut scratch, &mut |_| true).unwrap();
            fed += chunk.len();
            assert!(reader.buffer.capacity() <= (2 * fed).min(message.len()));
        }
        assert_eq!(reader.buffer.capacity(), 0);
    }
    // Fragments do not say where they end.
    let bytes = [0x02, 0x00, 0x00, 0x80]
        .map(|first| raw(Role::Server, first, &message[..250_000]))
        .concat();
    let mut reader = Reader::new(Role::Server, ReaderLimits::default());
    for (index, chunk) in bytes.chunks(10_000).enumerate() {
        reader.feed(chunk, &mut Vec::new(), &mut |_| true).unwrap();
        assert!(reader.buffer.capacity() <= 20_000 * (index + 1));
    }
}

#[test]
fn an_idle_reader_is_small() {
    assert!(size_of::<Reader>() <= 96, "{}", size_of::<Reader>());
}

#[test]
fn a_scratch_is_never_longer_than_a_chunk() {
    let bytes = [
        raw(Role::Server, 0x82, &[b'x'; 100]),
        raw(Role::Server, 0x81, b"y"),
    ]
    .concat();
    let mut scratch = Vec::new();
    let mut reader = Reader::new(Role::Server, LIMITS);
    let mut messages = Vec::new();
    for _ in 0..3 {
        reader
            .feed(&bytes, &mut scratch, &mut |message| {
                messages.push(Owned::from(message));
                true
            })
            .unwrap();
        assert!(scratch.len() <= bytes.len());
    }
    assert_eq!(messages, vec![[Owned::binary(100), text("y")]; 3].concat());
}

#[test]
fn frames_of_ours_are_read_back() {
    for length in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
        let payload: Vec<u8> = (0..length).map(|number| number as u8).collect();
        let expected = (vec![Owned::Binary(payload.clone())], Ok(()));
        let mut frame = Vec::new();
        write_frame(&mut frame, Opcode::Binary, &payload);
        let mut client = Reader::new(Role::Client, ReaderLimits::default());
        assert_eq!(feed(&mut client, &[&frame]), expected);
        let mut prebuilt = Vec::new();
        frame_header(&mut prebuilt, Opcode::Binary, length, false);
        assert_eq!([prebuilt, payload.clone()].concat(), frame);
        frame.clear();
        write_masked_frame(&mut frame, Opcode::Binary, &payload, false, MASK);
        let mut server = Reader::new(Role::Server, ReaderLimits::default());
        assert_eq!(feed(&mut server, &[&frame]), expected);
    }
}
