use super::*;
use crate::msgpack::read::tests::{Value, Values};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|char| char.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

const ROOT: &str = "a36e7370 a12f";

fn read(hex: &str) -> Result<(PacketType, String, Option<u64>, Option<Value>), PacketErrorKind> {
    let bytes = bytes(hex);
    read_packet(&bytes, &Limits::default(), &mut Values::default())
        .map(|packet| {
            (
                packet.packet_type,
                packet.nsp.to_owned(),
                packet.id,
                packet.data,
            )
        })
        .map_err(|error| error.kind)
}

#[test]
fn packets_of_the_reference_are_read() {
    let root = || "/".to_owned();
    assert_eq!(
        read(&format!("82 a474797065 00 {ROOT}")),
        Ok((PacketType::Connect, root(), None, None))
    );
    assert_eq!(
        read(&format!("82 a474797065 01 {ROOT}")),
        Ok((PacketType::Disconnect, root(), None, None))
    );
    assert_eq!(
        read(&format!(
            "85 a474797065 02 a464617461 92 a46563686f 01 \
             a76f7074696f6e73 81 a8636f6d7072657373 c3 a26964 00 {ROOT}"
        )),
        Ok((
            PacketType::Event,
            root(),
            Some(0),
            Some(Value::Array(vec![
                Value::String("echo".into()),
                Value::Integer(1)
            ]))
        ))
    );
    assert_eq!(
        read(&format!(
            "84 a474797065 00 a26964 d40000 a464617461 d40000 {ROOT}"
        )),
        Ok((PacketType::Connect, root(), None, None))
    );
    // A type that is a float, keys in any order, nil for what is not there.
    assert_eq!(
        read(&format!(
            "84 {ROOT} a26964 c0 a464617461 c0 a474797065 cb4008000000000000"
        )),
        Ok((PacketType::Ack, root(), None, None))
    );
}

#[test]
fn every_refusal_has_its_kind() {
    use PacketErrorKind::{
        IdTooLarge, InvalidId, InvalidMsgpack, InvalidNamespace, InvalidPayload, MissingEventName,
        UnknownPacketType,
    };
    for (hex, kind) in [
        ("c0", InvalidMsgpack),
        ("90", InvalidMsgpack),
        ("", InvalidMsgpack),
        ("34 30", InvalidMsgpack),
        ("81 01 01", InvalidMsgpack),
        ("81 a36e7370 a12f", UnknownPacketType),
        ("82 a474797065 05 a36e7370 a12f", UnknownPacketType),
        ("82 a474797065 ff a36e7370 a12f", UnknownPacketType),
        ("82 a474797065 a130 a36e7370 a12f", UnknownPacketType),
        (
            "82 a474797065 cb3fe0000000000000 a36e7370 a12f",
            UnknownPacketType,
        ),
        (
            "82 a474797065 cb7ff8000000000000 a36e7370 a12f",
            UnknownPacketType,
        ),
        ("81 a474797065 00", InvalidNamespace),
        ("82 a474797065 00 a36e7370 c0", InvalidNamespace),
        ("82 a474797065 00 a36e7370 a161", InvalidNamespace),
        ("82 a474797065 02 a36e7370 a12f", MissingEventName),
        (
            "83 a474797065 02 a36e7370 a12f a464617461 80",
            InvalidPayload,
        ),
        (
            "83 a474797065 00 a36e7370 a12f a464617461 90",
            InvalidPayload,
        ),
        (
            "83 a474797065 01 a36e7370 a12f a464617461 80",
            InvalidPayload,
        ),
        (
            "83 a474797065 04 a36e7370 a12f a464617461 90",
            InvalidPayload,
        ),
        ("83 a474797065 03 a36e7370 a12f a26964 ff", InvalidId),
        ("83 a474797065 03 a36e7370 a12f a26964 a131", InvalidId),
        (
            "83 a474797065 03 a36e7370 a12f a26964 cb3fe0000000000000",
            InvalidId,
        ),
        (
            "83 a474797065 03 a36e7370 a12f a26964 cf0020000000000000",
            IdTooLarge,
        ),
        (
            "83 a474797065 03 a36e7370 a12f a26964 cb7fefffffffffffff",
            InvalidId,
        ),
        ("82 a474797065 00 a36e7370 a12f c0", InvalidMsgpack),
    ] {
        assert_eq!(read(hex).unwrap_err(), kind, "{hex}");
    }
}

#[test]
fn a_namespace_may_be_as_long_as_the_limit() {
    let packet = |length: usize| {
        let name = "61".repeat(length - 1);
        read(&format!(
            "82 a474797065 00 a36e7370 da{length:04x} 2f {name}"
        ))
    };
    assert!(packet(256).is_ok());
    assert_eq!(packet(257).unwrap_err(), PacketErrorKind::NamespaceTooLong);
}
