//! The fuzz targets' twins: the same checks on what proptest makes up, and on the committed seeds, on a stable toolchain.

use std::fs;
use std::path::Path;

use _core::engineio::{SEPARATOR, binary_message};
use _core::websocket::deflate::compress_message;
use proptest::prelude::*;

#[path = "../fuzz/checks.rs"]
#[expect(clippy::expect_used, reason = "a check that fails ends its test")]
mod checks;

/// Pieces of the grammar of packets and of JSON, in any order, with free text between.
fn grammar() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(vec![
            "0", "1", "2", "5", "6", "9", "-", ",", "/", "[", "]", "{", "}", "\"", ":", "\\", " ", ".", "e", "+",
            "51-", "512-", "513-", "/nsp,", "/a", "1000000", "1000001", "[\"a\"", "\"a\":", "[1,", "{\"a\":1}", "\\u",
            "\\ud83d\\ude00", "\\ud800", "\"\\n\"", "null", "true", "false", "nul", "1.5", "1e400", "-0", "0.1e-7",
            "9223372036854775807", "9223372036854775808", "[[[[[[[[", "]]]]]]]]", "é", "😀", "\u{7f}", "\t", "\u{0}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
        1 => ".{0,4}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// JSON that is well-formed, so that the other side of the parser is seen as well.
fn json() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?",
        "\"([a-z é😀,\\[{]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}|\\\\ud83d\\\\ude00){0,12}\"",
    ];
    let space = || proptest::sample::select(vec!["", "", "", " ", "\t", "\n\r "]);
    leaf.prop_recursive(6, 24, 4, move |inner| {
        prop_oneof![
            (space(), proptest::collection::vec(inner.clone(), 0..4)).prop_map(|(space, items)| {
                format!("[{space}{}{space}]", items.join(&format!("{space},")))
            }),
            (
                space(),
                proptest::collection::vec(("[a-cé]{0,2}", inner), 0..4)
            )
                .prop_map(|(space, items)| {
                    let items: Vec<_> = items
                        .iter()
                        .map(|(key, item)| format!("\"{key}\"{space}:{space}{item}"))
                        .collect();
                    format!("{{{space}{}{space}}}", items.join(","))
                }),
        ]
    })
    .prop_map(String::into_bytes)
}

/// Payloads with long and short packets, most of them well-formed; base64 with and without flaws.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let base64 = "[A-Za-z0-9+/]{0,40}(=|==|=A|[-_=@ \\né😀]{1,3}[A-Za-z0-9+/]{0,20})?";
    let piece = prop_oneof![
        4 => "[0-6][ -~]{0,40}".prop_map(String::into_bytes),
        2 => "[0-6].{0,8}".prop_map(String::into_bytes),
        4 => base64.prop_map(|text| [b"b", text.as_bytes()].concat()),
        2 => proptest::collection::vec(any::<u8>(), 0..50)
            .prop_map(|data| binary_message(&data).into_vec()),
        1 => base64.prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ];
    (proptest::collection::vec(piece, 0..6), any::<bool>()).prop_map(|(pieces, trailing)| {
        let mut body = pieces.join(&SEPARATOR);
        if trailing {
            body.push(SEPARATOR);
        }
        body
    })
}

/// Frames of one end of a connection, most of them in their place, behind the four bytes that say how they are read; messages
/// are compressed or not.
fn frames(compressed: bool) -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        12 => proptest::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x00, 0x80, 0x80, 0x89, 0x8a]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => "[ -~]{0,20}".prop_map(String::into_bytes),
        4 => ".{0,12}".prop_map(String::into_bytes),
        2 => proptest::collection::vec(any::<u8>(), 0..9),
        2 => proptest::collection::vec(b'a'..=b'z', 120..310),
        // Close codes, with a reason or not.
        2 => (990_u16..1020, ".{0,2}").prop_map(|(code, reason)| {
            [&code.to_be_bytes(), reason.as_bytes()].concat()
        }),
        1 => (any::<u16>(), ".{0,2}").prop_map(|(code, reason)| {
            [&code.to_be_bytes(), reason.as_bytes()].concat()
        }),
        // Characters that are cut.
        2 => proptest::sample::select(vec!["\u{e9}", "\u{20ac}", "\u{1f600}"])
            .prop_flat_map(|text| (0..=text.len()).prop_map(move |end| text.bytes().take(end).collect())),
    ];
    // Which end this is when it is not the right one, and in how many bytes the length is written.
    let odd = proptest::sample::select(
        [
            &[(false, 0_usize); 30][..],
            &[(true, 0), (false, 2), (false, 8)],
        ]
        .concat(),
    );
    let frame = (first, payload, any::<[u8; 4]>(), odd);
    let head = any::<[u8; 4]>();
    (head, proptest::collection::vec(frame, 0..8), 0..400_usize).prop_map(
        move |(head, frames, cut)| {
            let mut stream = head.to_vec();
            let server = head[0] & 1 == 0;
            for (mut first, mut payload, mask, (other, size)) in frames {
                if compressed && matches!(first, 0x01 | 0x02 | 0x81 | 0x82) {
                    first |= 0x40;
                    let message = payload.repeat(1 + usize::from(head[1] % 16));
                    payload = compress_message(&message).unwrap_or(payload);
                }
                let masked = server != other;
                let length = payload.len() as u64;
                let bit = if masked { 0x80 } else { 0 };
                stream.push(first);
                match size {
                    0 if length < 126 => stream.push(bit | length as u8),
                    0 | 2 => {
                        stream.push(bit | 0x7e);
                        stream.extend_from_slice(&(length as u16).to_be_bytes());
                    }
                    _ => {
                        stream.push(bit | 0x7f);
                        stream.extend_from_slice(&length.to_be_bytes());
                    }
                }
                let mask = if masked { mask } else { [0; 4] };
                if masked {
                    stream.extend_from_slice(&mask);
                }
                stream.extend(
                    payload
                        .iter()
                        .zip(mask.iter().cycle())
                        .map(|(byte, mask)| byte ^ mask),
                );
            }
            // Now and then the end is missing.
            if cut < 100 {
                stream.truncate(stream.len().saturating_sub(cut % 30).max(4));
            }
            stream
        },
    )
}

proptest! {
    #[test]
    fn header(data in grammar()) {
        checks::header(&data);
    }

    #[test]
    fn json_read(data in prop_oneof![grammar(), json()]) {
        checks::json_read(&data);
    }

    #[test]
    fn json_write(data in prop_oneof![grammar(), proptest::collection::vec(any::<u8>(), 0..64)]) {
        checks::json_write(&data);
    }

    #[test]
    fn payloads(data in prop_oneof![payload(), grammar()]) {
        checks::payload(&data);
    }

    #[test]
    fn compressed_websocket(data in frames(true)) {
        checks::websocket(&data);
    }

    #[test]
    fn websocket(data in frames(false)) {
        checks::websocket(&data);
    }

    #[test]
    fn values(data in prop_oneof![grammar(), json()]) {
        checks::values(&data);
    }
}

type Check = fn(&[u8]);

#[test]
fn seeds() {
    let targets: [(&str, Check); 6] = [
        ("header", checks::header),
        ("json_read", checks::json_read),
        ("json_write", checks::json_write),
        ("payload", checks::payload),
        ("values", checks::values),
        ("websocket", checks::websocket),
    ];
    for (target, check) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(target);
        let mut number = 0;
        for entry in fs::read_dir(folder).unwrap() {
            check(&fs::read(entry.unwrap().path()).unwrap());
            number += 1;
        }
        assert!(number > 0, "{target} has no seeds");
    }
}
