//! The fuzz targets' twins: the same checks on what proptest makes up, and on the committed seeds, on a stable toolchain.

use std::fs;
use std::path::Path;

use _core::engineio::{SEPARATOR, binary_message};
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
    fn values(data in prop_oneof![grammar(), json()]) {
        checks::values(&data);
    }
}

type Check = fn(&[u8]);

#[test]
fn seeds() {
    let targets: [(&str, Check); 5] = [
        ("header", checks::header),
        ("json_read", checks::json_read),
        ("json_write", checks::json_write),
        ("payload", checks::payload),
        ("values", checks::values),
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
