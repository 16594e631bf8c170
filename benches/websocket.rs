//! The WebSocket codec: `websocket [CASE]` prints how long each case takes, the best of several runs.
//!
//! A chunk is what one read of a socket brings. Nothing is done with the messages.

#![expect(clippy::print_stdout, reason = "the numbers are what it is for")]
#![expect(
    clippy::cast_precision_loss,
    reason = "of the counts, none is near 2^52"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use _core::websocket::{
    Message, Opcode, Reader, ReaderLimits, Role, write_frame, write_masked_frame,
};

const RUNS: usize = 9;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// What asyncio and uvloop read at once.
const CHUNK: usize = 262_144;

fn best(mut body: impl FnMut()) -> Duration {
    (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            body();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

/// Print nanoseconds for each of `count` things, and GB/s where a thing has so many bytes.
fn report(case: &str, time: Duration, count: usize, bytes: usize) {
    let nanoseconds = time.as_secs_f64() * 1e9 / count as f64;
    let rate = (count * bytes) as f64 / time.as_secs_f64() / 1e9;
    println!("{case:<32} {nanoseconds:>12.1} ns {rate:>8.2} GB/s");
}

fn frames(role: Role, opcode: Opcode, payload: &[u8], count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..count {
        match role {
            Role::Server => write_masked_frame(&mut out, opcode, payload, false, MASK),
            Role::Client => write_frame(&mut out, opcode, payload),
        }
    }
    out
}

fn read(case: &str, role: Role, opcode: Opcode, payload: &[u8], chunk: usize) {
    let count = 20_000_000 / (payload.len() + 100);
    let bytes = frames(role, opcode, payload, count);
    let mut scratch = Vec::new();
    let mut seen = 0;
    let time = best(|| {
        let mut reader = Reader::new(role, ReaderLimits::default());
        for chunk in bytes.chunks(chunk) {
            let result = reader.feed(black_box(chunk), &mut scratch, &mut |message| {
                seen += usize::from(!matches!(black_box(message), Message::Close(_)));
                true
            });
            black_box(result.is_ok());
        }
    });
    black_box(seen == RUNS * count);
    report(case, time, count, payload.len());
}

fn main() {
    // Cargo puts `--bench` in front.
    let wanted = std::env::args().skip(1).find(|case| case != "--bench");
    let wanted = wanted.unwrap_or_default();
    let small = b"42[\"message\",{\"text\":\"hello\",\"id\":1234}]";
    let ascii = b"the quick brown fox ".repeat(50_000);
    let mixed = "Größe, 漢字かな, 😀 и так далее; "
        .repeat(20_000)
        .into_bytes();
    let (text, binary) = (Opcode::Text, Opcode::Binary);
    let (server, client) = (Role::Server, Role::Client);
    let frame = small.len() + 6;
    let whole = ascii.len() + 14;
    let read = |case: &str, role, opcode, payload, chunk| {
        if case.contains(&wanted) {
            read(case, role, opcode, payload, chunk);
        }
    };
    read("read/text 40/many a chunk", server, text, small, CHUNK);
    read("read/text 40/one a chunk", server, text, small, frame);
    read("read/text 40/cut", server, text, small, frame - 10);
    read("read/text 40/client", client, text, small, CHUNK);
    read("read/binary 1M/whole", server, binary, &ascii, whole);
    read("read/binary 1M/256k chunks", server, binary, &ascii, CHUNK);
    read("read/binary 1M/1400 chunks", server, binary, &ascii, 1_400);
    read("read/ascii 1M/whole", server, text, &ascii, whole);
    read("read/ascii 1M/256k chunks", server, text, &ascii, CHUNK);
    read("read/mixed 1M/256k chunks", server, text, &mixed, CHUNK);
    let mut out = Vec::with_capacity(1 << 20);
    for (case, payload) in [
        ("write/text 40", &small[..]),
        ("write/ascii 1M", &ascii[..]),
    ] {
        if case.contains(&wanted) {
            let count = 10_000_000 / (payload.len() + 100);
            let time = best(|| {
                for _ in 0..count {
                    out.clear();
                    write_frame(&mut out, Opcode::Text, black_box(payload));
                    black_box(&out);
                }
            });
            report(case, time, count, payload.len());
        }
    }
}
