//! The pure layers of the codec, for callgrind: `codec CASE COUNT` does one thing so many times and prints nothing.
//!
//! `instructions.py` runs it. Values are made of nothing here, so that what is counted is reading and writing alone.

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::ExitCode;

use _core::json::read::{Validator, read};
use _core::json::{scan, write};
use _core::limits::Limits;
use _core::socketio::header::read_header;

const SMALL: &str = r#"["message",{"text":"hello","id":1}]"#;

/// Records of every JSON type, at most so many bytes, as in `cases.py`.
fn document(size: usize) -> String {
    let mut text = String::from("[");
    for number in 0_u32.. {
        let mut record = String::new();
        let written = write!(
            record,
            r#"{{"id":{number},"name":"user-{number}","active":{},"score":{:?},"parent":null,"tags":["alpha","beta","gamma"],"position":{{"x":{number},"y":-{number},"label":"café"}}}}"#,
            number % 3 == 0,
            f64::from(number) * 1.25,
        );
        if written.is_err() || text.len() + record.len() + 1 > size {
            break;
        }
        if number > 0 {
            text.push(',');
        }
        text.push_str(&record);
    }
    text.push(']');
    text
}

fn repeat(count: u32, mut body: impl FnMut() -> bool) -> bool {
    (0..count).all(|_| body())
}

fn reads(text: &str, count: u32) -> bool {
    let limits = Limits::default();
    repeat(count, || {
        read(black_box(text), 0, &limits, &mut Validator).is_ok()
    })
}

fn writes(count: u32, body: impl Fn(&mut Vec<u8>)) -> bool {
    let mut out = Vec::with_capacity(1 << 20);
    repeat(count, || {
        out.clear();
        body(&mut out);
        !black_box(&out).is_empty()
    })
}

/// Do a case; return whether there is one of that name and it worked.
fn run(case: &str, count: u32) -> bool {
    let text = "x".repeat(1000);
    match case {
        "header/small" => repeat(count, || {
            read_header(black_box("2[\"message\"]"), &Limits::default()).is_ok()
        }),
        "header/full" => repeat(count, || {
            read_header(black_box("51-/chat,12[\"message\"]"), &Limits::default()).is_ok()
        }),
        "read/small" => reads(SMALL, count),
        "read/1k" => reads(&document(1_000), count),
        "read/100k" => reads(&document(100_000), count),
        "scan/1k" => repeat(count, || {
            scan::run(black_box(text.as_bytes())).length == text.len()
        }),
        "values/100k" => {
            let json = document(100_000);
            repeat(count, || {
                !scan::has_more_values(black_box(json.as_bytes()), 49_000)
            })
        }
        "write/5 characters" => writes(count, |out| {
            write::string_contents(out, black_box(b"hello"));
        }),
        "write/1000 characters" => writes(count, |out| {
            write::string_contents(out, black_box(text.as_bytes()));
        }),
        "write/integer" => writes(count, |out| write::integer(out, black_box(1_234_567))),
        "write/float" => writes(count, |out| write::float(out, black_box(1_234.75))),
        _ => false,
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let case = arguments.next().unwrap_or_default();
    let count = arguments.next().and_then(|count| count.parse().ok());
    match count {
        Some(count) if run(&case, count) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
