use super::*;
use crate::load::script::tests::plan;
use crate::websocket::write_frame;

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

struct Alone {
    client: Client,
    script: Script,
    progress: Progress,
    turn: Turn,
}

impl Alone {
    fn new(workload: Workload) -> Self {
        let turn = Turn {
            now: 1_000,
            burst_at: 900,
            ..Turn::default()
        };
        Self {
            client: Client::new(workload),
            script: Script::new(&plan(workload, "/")),
            progress: Progress::default(),
            turn,
        }
    }

    fn ready(workload: Workload) -> Self {
        let mut alone = Self::new(workload);
        alone.feed(SWITCH).unwrap();
        alone.text("0{}").unwrap();
        alone.text("40{}").unwrap();
        assert_eq!(alone.client.state(), State::Ready);
        alone
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Self {
            client,
            script,
            progress,
            turn,
        } = self;
        client.receive(bytes, script, progress, turn)
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.feed(&frame(Opcode::Text, text.as_bytes()))
    }
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, opcode, payload);
    out
}

fn failure(result: Result<(), Failure>) -> (FailureKind, String) {
    let failure = result.unwrap_err();
    (failure.kind, failure.detail)
}

#[test]
fn a_client_joins_however_the_bytes_are_cut() {
    let all = [
        SWITCH,
        &frame(Opcode::Text, b"0{\"sid\":\"a\"}"),
        &frame(Opcode::Text, b"40{\"sid\":\"b\"}"),
        &frame(Opcode::Text, b"2"),
        &frame(Opcode::Ping, b"p"),
    ]
    .concat();
    for size in [1, 3, 10, all.len()] {
        let mut alone = Alone::new(Workload::Idle);
        for chunk in all.chunks(size) {
            alone.feed(chunk).unwrap();
        }
        assert_eq!(alone.client.state(), State::Ready);
        assert!(alone.turn.joined);
        let expected = [
            client_frame(Opcode::Text, b"40"),
            client_frame(Opcode::Text, b"3"),
            client_frame(Opcode::Pong, b"p"),
        ];
        assert_eq!(alone.turn.out, expected.concat());
        assert_eq!(alone.progress.pings.get(), 1);
    }
}

#[test]
fn refusals_say_what_the_server_said() {
    use FailureKind::{Frame, Lost, Open, Refused, Upgrade};
    let mut alone = Alone::new(Workload::Idle);
    alone
        .feed(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 12\r\n\r\n")
        .unwrap();
    let expected = (Upgrade, "400 Bad Request: {\"code\":\"0\"}".to_owned());
    assert_eq!(failure(alone.feed(b"{\"code\":\"0\"}")), expected);

    let mut alone = Alone::new(Workload::Idle);
    alone
        .feed(b"HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\n")
        .unwrap();
    assert_eq!(alone.client.ended().detail, "404 Not Found");

    let other = Alone::new(Workload::Idle).feed(b"SSH-2.0-OpenSSH\r\n");
    assert_eq!(failure(other).0, Upgrade);

    let mut alone = Alone::new(Workload::Idle);
    alone.feed(SWITCH).unwrap();
    assert_eq!(failure(alone.text("hello")), (Open, "hello".to_owned()));

    let mut alone = Alone::new(Workload::Idle);
    alone.feed(SWITCH).unwrap();
    alone.text("0{}").unwrap();
    let message = r#"{"message":"no"}"#;
    let answer = alone.text(&format!("44{message}"));
    assert_eq!(failure(answer), (Refused, message.to_owned()));

    let close = Alone::ready(Workload::Idle).feed(&frame(Opcode::Close, b"\x03\xe9"));
    assert!(failure(close).1.contains("1001"));
    assert_eq!(failure(Alone::ready(Workload::Idle).text("41")).0, Lost);
    assert_eq!(
        failure(Alone::ready(Workload::Idle).feed(b"\xff\xff")).0,
        Frame
    );
}

#[test]
fn deliveries_are_counted_whole_cut_and_spaced() {
    let mut alone = Alone::ready(Workload::Broadcast { burst: 5 });
    assert_eq!(alone.client.expect(5), 0);
    let one = frame(Opcode::Text, br#"42["b","xxx"]"#);
    let spaced = frame(Opcode::Text, br#"42["b", "xxx"]"#);
    let other = frame(Opcode::Text, br#"42["c"]"#);
    let all = [&one[..], &one, &other, &spaced, &one[..4]].concat();
    alone.feed(&all).unwrap();
    assert_eq!(
        (alone.turn.delivered, alone.progress.received.get()),
        (3, 3)
    );
    alone.feed(&one[4..]).unwrap();
    assert_eq!(alone.client.expect(5), 1);
    alone.feed(&one.repeat(6)).unwrap();
    assert_eq!(alone.progress.received.get(), 9);
    assert_eq!(alone.progress.surplus.get(), 1);
    assert_eq!(alone.progress.other.get(), 1);
    assert_eq!(alone.progress.wrong.get(), 0);
    assert_eq!(alone.progress.latency.counts().quantile(1_000), Some(100));
}

#[test]
fn answers_free_their_slots() {
    let mut alone = Alone::ready(Workload::Ack { depth: 3 });
    for slot in 0..3 {
        alone.client.sends(slot, 500 + u64::from(slot));
    }
    for id in [0, 2, 1] {
        alone.text(&format!(r#"43{id}["xxx"]"#)).unwrap();
    }
    assert_eq!(alone.turn.due, [0, 2, 1]);
    alone.text(r#"431["xxx"]"#).unwrap();
    alone.text(r#"4399["xxx"]"#).unwrap();
    assert_eq!(alone.progress.surplus.get(), 2);
    alone.client.sends(1, 900);
    alone.text("431[]").unwrap();
    assert_eq!(alone.progress.wrong.get(), 1);
    assert_eq!(alone.progress.received.get(), 4);
}

#[test]
fn attachments_are_the_answers_of_binary_events() {
    let mut alone = Alone::ready(Workload::Binary { depth: 4 });
    for slot in 0..4 {
        alone.client.sends(slot, 1);
    }
    let whole = alone.script.reply(0).to_vec();
    let header = whole[..whole.len() - 5].to_vec();
    for size in [whole.len(), 7] {
        for chunk in whole.chunks(size) {
            alone.feed(chunk).unwrap();
        }
    }
    alone.feed(&header).unwrap();
    alone.feed(&frame(Opcode::Binary, b"yyy")).unwrap();
    alone
        .text(r#"451-["c",{"_placeholder":true,"num":0}]"#)
        .unwrap();
    alone.feed(&frame(Opcode::Binary, b"xxx")).unwrap();
    assert_eq!(alone.turn.due, [0, 1, 2]);
    assert_eq!(alone.progress.wrong.get(), 1);
    assert_eq!(alone.progress.other.get(), 1);
}

/// Whatever bytes come, they are messages or a failure.
#[test]
fn no_bytes_are_too_strange() {
    let all = [
        SWITCH,
        &frame(Opcode::Text, b"0{}"),
        &frame(Opcode::Text, b"40{}"),
        &frame(Opcode::Text, br#"43999["xxx"]"#),
        &frame(
            Opcode::Text,
            br#"451-["echo",{"_placeholder":true,"num":0}]"#,
        ),
        &frame(Opcode::Binary, b"xxx"),
        &frame(Opcode::Text, br#"42["b","xxx"]"#),
    ]
    .concat();
    let broadcast = Workload::Broadcast { burst: 1 };
    for workload in [
        broadcast,
        Workload::Binary { depth: 1 },
        Workload::Ack { depth: 1 },
    ] {
        for at in 0..all.len() {
            for byte in [0, b'0', b'4', b'9', 0x7f, 0x80, 0xff] {
                let mut bytes = all.clone();
                bytes[at] = byte;
                let mut alone = Alone::new(workload);
                let (front, back) = bytes.split_at(at);
                let _ = alone.feed(front).and_then(|()| alone.feed(back));
            }
        }
    }
}
