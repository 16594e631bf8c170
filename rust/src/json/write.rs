//! The pieces of JSON as `JSON.stringify` writes them: no spaces, UTF-8 as it is, escapes where JSON demands them.

use super::append;
pub use super::append::{key, short, string, string_contents};

/// Append `\uXXXX` for a code unit, in lower case.
pub fn unit_escape(out: &mut Vec<u8>, unit: u16) {
    out.extend_from_slice(&append::unit_escape(unit));
}

/// Append an integer.
#[inline]
pub fn integer(out: &mut Vec<u8>, value: i64) {
    if let Ok(digit @ 0..=9) = u8::try_from(value) {
        out.push(b'0' + digit);
        return;
    }
    short(out, itoa::Buffer::new().format(value).as_bytes());
}

/// Append a number with a fraction: the shortest text that reads back as the same double; `null` for what JSON cannot hold.
///
/// Differs from `JSON.stringify`: 1.0 is written `1.0`, so that a float stays one between Python programs. JavaScript reads
/// the same number.
pub fn float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        short(out, zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// A double as JavaScript spells it where it is a key of an object.
///
/// Source: ECMA-262, `Number::toString` with radix 10.
pub fn float_key(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let sign = if value < 0.0 { "-" } else { "" };
    // Rust's `{:e}` gives the shortest digits that read back as the same double: `d.ddde±n`.
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // ECMA-262's n: the decimal point stands behind the n-th digit.
    let point = exponent + 1;
    let zeros = |number: i32| "0".repeat(usize::try_from(number).unwrap_or(0));
    let split = |at: i32| digits.split_at(usize::try_from(at).unwrap_or(0).min(digits.len()));
    let unsigned = if (count..=21).contains(&point) {
        digits.clone() + &zeros(point - count)
    } else if (1..=21).contains(&point) {
        let (whole, fraction) = split(point);
        format!("{whole}.{fraction}")
    } else if (-5..=0).contains(&point) {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = split(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{first}{dot}{rest}e{exponent:+}")
    };
    format!("{sign}{unsigned}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn contents(text: &str) -> String {
        let mut out = Vec::new();
        string_contents(&mut out, text.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_javascript_does() {
        assert_eq!(
            contents("plain é€😀\u{7f}\u{2028}/"),
            "plain é€😀\u{7f}\u{2028}/"
        );
        assert_eq!(contents("a\"b\\c\u{8}\t\n\u{c}\r"), r#"a\"b\\c\b\t\n\f\r"#);
        assert_eq!(contents("\u{0}\u{1f}"), r"\u0000\u001f");
        assert_eq!(contents("eight--8\"and more"), "eight--8\\\"and more");
        let mut out = Vec::new();
        unit_escape(&mut out, 0xd8ab);
        assert_eq!(out, br"\ud8ab");
    }

    fn plain_contents(text: &str) -> String {
        let mut out = Vec::new();
        for &byte in text.as_bytes() {
            match byte {
                b'"' | b'\\' => out.extend([b'\\', byte]),
                0x08 => out.extend(b"\\b"),
                0x09 => out.extend(b"\\t"),
                0x0a => out.extend(b"\\n"),
                0x0c => out.extend(b"\\f"),
                0x0d => out.extend(b"\\r"),
                0..0x20 => out.extend(format!("\\u{byte:04x}").bytes()),
                _ => out.push(byte),
            }
        }
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn strings_and_keys_are_the_plain_contents(text in "[a-zé€\u{7f}\u{1f}\u{0}\"\\\\😀]{0,40}") {
            let plain = plain_contents(&text);
            prop_assert_eq!(&contents(&text), &plain);
            let mut out = Vec::new();
            string(&mut out, text.as_bytes());
            key(&mut out, text.as_bytes(), true);
            key(&mut out, text.as_bytes(), false);
            let expected = format!("\"{plain}\"\"{plain}\":,\"{plain}\":");
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }

        #[test]
        fn long_strings_are_the_plain_contents(text in "[a-z\"]{4090,4110}") {
            let plain = plain_contents(&text);
            let mut out = Vec::new();
            string(&mut out, text.as_bytes());
            key(&mut out, text.as_bytes(), false);
            let expected = format!("\"{plain}\",\"{plain}\":");
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }

        #[test]
        fn short_appends_what_it_is_given(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut out = vec![1, 2, 3];
            short(&mut out, &bytes);
            prop_assert_eq!(&out[3..], &bytes[..]);
        }
    }

    #[test]
    fn floats_read_back_as_they_were() {
        for value in [
            0.0,
            -0.0,
            1.0,
            0.1,
            1e21,
            1.5e-7,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
        ] {
            let mut out = Vec::new();
            float(&mut out, value);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(
                text.parse::<f64>().unwrap().to_bits(),
                value.to_bits(),
                "{text}"
            );
        }
        let mut out = Vec::new();
        float(&mut out, f64::NAN);
        assert_eq!(out, b"null");
    }

    #[test]
    fn float_keys_are_spelled_as_javascript_spells_them() {
        for (value, text) in [
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.0, "0"),
            (-0.0, "0"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.25e21, "1.25e+21"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (123.456, "123.456"),
            (0.1, "0.1"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float_key(value), text);
        }
    }
}
