//! The header `Sec-WebSocket-Extensions`: what a client offers, and what is answered.
//!
//! Source: RFC 6455 section 9.1 (the grammar), RFC 7692 sections 5 and 7.1.

use std::fmt;

use super::{Inflater, MAX_BITS, MIN_SERVER_BITS};

const NAME: &str = "permessage-deflate";

/// Names of extensions and of parameters in one header; one more is malformed. What is in use offers one extension with at
/// most four parameters. Source: roomcast.
const MAX_TOKENS: usize = 64;

/// Bytes of a response; longer ones are malformed. The longest that makes sense has 103.
const MAX_RESPONSE: usize = 256;

/// The window of a deflate stream, as the exponent of its bytes.
const WINDOW_BITS: std::ops::RangeInclusive<u8> = 8..=MAX_BITS;

/// The header is no list of extensions: to be answered by 400.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MalformedOffer;

impl fmt::Display for MalformedOffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("malformed list of extensions")
    }
}

impl std::error::Error for MalformedOffer {}

/// What a server wants, whatever its clients offer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    /// The largest window for its own messages, 9 to 15. A client that offers a smaller one gets that.
    pub server_max_window_bits: u8,
    /// Whether every client is told to keep no context, not only those that offer it: connections then hold no inflater
    /// between messages.
    pub client_no_context_takeover: bool,
}

/// How the messages of one connection are compressed, as one of its ends sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Agreement {
    /// For [`super::Deflater::new`], 9 to 15; connections that have this in common share compressed messages.
    pub window_bits: u8,
    /// Whether the client offered a window and so wants to be told, or does not know that it is a smaller one.
    tell_server_bits: bool,
    /// Whether each message of the other end stands alone.
    pub peer_alone: bool,
}

impl Agreement {
    /// The header's value in a server's response.
    pub fn response(&self) -> String {
        let mut response = format!("{NAME}; server_no_context_takeover");
        if self.peer_alone {
            response.push_str("; client_no_context_takeover");
        }
        if self.tell_server_bits {
            response.push_str("; server_max_window_bits=");
            response.push_str(&self.window_bits.to_string());
        }
        response
    }

    /// What the connection's reader inflates with.
    pub const fn inflater(&self) -> Inflater {
        Inflater::new(!self.peer_alone)
    }
}

/// Choose the first offer of a header that can be met; `None` where there is none, and nothing is compressed.
///
/// An offer with an unknown parameter, a repeated one, or a value that the parameter does not have is declined, as the
/// specification demands; and so is a value in quotes, which nobody sends.
///
/// # Arguments
///
/// `header` is the value, or the values of several such headers joined by commas.
///
/// # Errors
///
/// [`MalformedOffer`] where any part of the header breaks the grammar, or it is too long to be meant.
pub fn negotiate(header: &str, terms: Terms) -> Result<Option<Agreement>, MalformedOffer> {
    let mut tokens = 0;
    let mut agreed = None;
    for extension in header.split(',').map(trim) {
        // Lists may have empty elements (RFC 2616 section 2.1), which count as well.
        let mut parts = extension.split(';').map(trim);
        tokens += 1 + extension.split(';').count();
        if tokens > 2 * MAX_TOKENS {
            return Err(MalformedOffer);
        }
        if extension.is_empty() {
            continue;
        }
        let mut offer = parts
            .next()
            .filter(|name| is_token(name))
            .map(|name| (name == NAME).then(Offer::default))
            .ok_or(MalformedOffer)?;
        for part in parts {
            let parameter = Parameter::new(part)?;
            offer = offer.and_then(|offer| offer.with(parameter));
        }
        agreed = agreed.or(offer);
    }
    let most = terms
        .server_max_window_bits
        .clamp(MIN_SERVER_BITS, MAX_BITS);
    Ok(agreed.map(|offer: Offer| Agreement {
        window_bits: offer.server_bits.unwrap_or(MAX_BITS).min(most),
        tell_server_bits: offer.server_bits.is_some() || most < MAX_BITS,
        peer_alone: terms.client_no_context_takeover || offer.client_alone,
    }))
}

/// What a client offers: its own messages stand alone, whatever the server's do.
pub const OFFER: &str = "permessage-deflate; client_no_context_takeover";

/// Read what a server answers to [`OFFER`].
///
/// # Errors
///
/// [`MalformedOffer`] where it is no answer to that: another extension, an unknown or repeated parameter, or a wrong value.
pub fn accept(header: &str) -> Result<Agreement, MalformedOffer> {
    let mut parts = header.split(';').map(trim);
    if parts.next() != Some(NAME) || header.len() > MAX_RESPONSE {
        return Err(MalformedOffer);
    }
    let (mut server_alone, mut client_alone, mut server_bits) = (false, false, false);
    for part in parts {
        let parameter = Parameter::new(part)?;
        let repeated = match (parameter.name, parameter.value) {
            ("server_no_context_takeover", Value::None) => {
                std::mem::replace(&mut server_alone, true)
            }
            ("client_no_context_takeover", Value::None) => {
                std::mem::replace(&mut client_alone, true)
            }
            // The largest window inflates what was made with a smaller one.
            ("server_max_window_bits", Value::Token(bits)) => {
                window_bits(bits).ok_or(MalformedOffer)?;
                std::mem::replace(&mut server_bits, true)
            }
            _ => true,
        };
        if repeated {
            return Err(MalformedOffer);
        }
    }
    Ok(Agreement {
        window_bits: MAX_BITS,
        tell_server_bits: false,
        peer_alone: server_alone,
    })
}

/// One offer of the extension, as far as it is read.
#[derive(Clone, Copy, Debug, Default)]
struct Offer {
    server_alone: bool,
    client_alone: bool,
    server_bits: Option<u8>,
    /// Whether the client takes a window from us; it may be the largest, so nothing is answered.
    client_bits: bool,
}

impl Offer {
    /// With one parameter more, if it can be met.
    fn with(mut self, parameter: Parameter<'_>) -> Option<Self> {
        let repeated = match (parameter.name, parameter.value) {
            ("server_no_context_takeover", Value::None) => {
                std::mem::replace(&mut self.server_alone, true)
            }
            ("client_no_context_takeover", Value::None) => {
                std::mem::replace(&mut self.client_alone, true)
            }
            ("server_max_window_bits", Value::Token(bits)) => {
                let bits = window_bits(bits).filter(|bits| *bits >= MIN_SERVER_BITS)?;
                self.server_bits.replace(bits).is_some()
            }
            ("client_max_window_bits", Value::None) => {
                std::mem::replace(&mut self.client_bits, true)
            }
            ("client_max_window_bits", Value::Token(bits)) => {
                window_bits(bits)?;
                std::mem::replace(&mut self.client_bits, true)
            }
            _ => return None,
        };
        (!repeated).then_some(self)
    }
}

#[derive(Clone, Copy, Debug)]
struct Parameter<'a> {
    name: &'a str,
    value: Value<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    None,
    Token(&'a str),
    Quoted,
}

impl<'a> Parameter<'a> {
    fn new(part: &'a str) -> Result<Self, MalformedOffer> {
        let (name, value) = match part.split_once('=') {
            None => (part, Value::None),
            Some((name, value)) => {
                let value = trim(value);
                // What stands between quotes must be a token too, so no comma or semicolon has been cut out of them.
                let quoted = value
                    .strip_prefix('"')
                    .and_then(|value| value.strip_suffix('"'));
                if !is_token(quoted.unwrap_or(value)) {
                    return Err(MalformedOffer);
                }
                let value = quoted.map_or(Value::Token(value), |_| Value::Quoted);
                (trim(name), value)
            }
        };
        if is_token(name) {
            Ok(Self { name, value })
        } else {
            Err(MalformedOffer)
        }
    }
}

/// Digits without a leading zero, in range.
fn window_bits(value: &str) -> Option<u8> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
    let bits = value.parse().ok().filter(|_| digits)?;
    WINDOW_BITS.contains(&bits).then_some(bits)
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Source: RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let special = b"!#$%&'*+-.^_`|~";
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || special.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        server_max_window_bits: 15,
        client_no_context_takeover: false,
    };

    fn response(header: &str) -> Option<String> {
        negotiate(header, TERMS)
            .unwrap()
            .map(|agreement| agreement.response())
    }

    const PLAIN: &str = "permessage-deflate; server_no_context_takeover";

    #[test]
    fn offers_of_browsers_and_libraries_are_accepted() {
        for (header, expected) in [
            ("permessage-deflate", ""),
            ("permessage-deflate; client_max_window_bits", ""),
            ("permessage-deflate;client_max_window_bits=15", ""),
            ("permessage-deflate; client_max_window_bits = 8", ""),
            ("permessage-deflate; server_no_context_takeover", ""),
            (
                "permessage-deflate; client_no_context_takeover; client_max_window_bits",
                "; client_no_context_takeover",
            ),
            (
                "permessage-deflate; server_max_window_bits=9",
                "; server_max_window_bits=9",
            ),
            (
                "x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=15",
                "; server_max_window_bits=15",
            ),
            // The second offer is the way back from the first.
            (
                "permessage-deflate; server_max_window_bits=8, permessage-deflate",
                "",
            ),
            ("permessage-deflate; unknown, \t, permessage-deflate", ""),
            ("unknown; a=\"b\"; c=d, permessage-deflate", ""),
        ] {
            let response = response(header);
            assert_eq!(response, Some(format!("{PLAIN}{expected}")), "{header}");
        }
    }

    #[test]
    fn offers_that_cannot_be_met_are_declined() {
        for parameters in [
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=8",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=010",
            "server_max_window_bits=+9",
            "server_max_window_bits=-9",
            "server_max_window_bits=9.0",
            "server_max_window_bits=265",
            "server_max_window_bits=99999999999999999999",
            "server_max_window_bits=\"10\"",
            "server_max_window_bits=10; server_max_window_bits=10",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=08",
            "client_max_window_bits=\"10\"",
            "client_max_window_bits; client_max_window_bits",
            "client_max_window_bits; client_max_window_bits=10",
            "server_no_context_takeover=1",
            "server_no_context_takeover=\"true\"",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover=true",
            "client_no_context_takeover; client_no_context_takeover",
            "Client_No_Context_Takeover",
            "constructor",
            "__proto__=1",
        ] {
            let header = format!("permessage-deflate; {parameters}");
            assert_eq!(response(&header), None, "{header}");
        }
        for header in [
            "",
            " , ,",
            "constructor",
            "permessage-bzip2",
            "Permessage-Deflate",
        ] {
            assert_eq!(response(header), None, "{header}");
        }
    }

    #[test]
    fn what_is_no_list_of_extensions_is_malformed() {
        for header in [
            ";",
            "permessage-deflate;",
            "permessage-deflate; ;server_no_context_takeover",
            "permessage-deflate; =1",
            "permessage-deflate; a=",
            "permessage-deflate; a=\"",
            "permessage-deflate; a=\"\"",
            "permessage-deflate; a=\"b",
            "permessage-deflate; a=\"b,c\"",
            "permessage-deflate; a=\"b;c\"",
            "permessage-deflate; a=\"b\\c\"",
            "permessage-deflate; a=b=c",
            "permessage-deflate server_no_context_takeover",
            "permessage-deflate, b c",
            "perméssage",
            "a\u{0}",
            "=",
        ] {
            assert_eq!(negotiate(header, TERMS), Err(MalformedOffer), "{header}");
        }
    }

    #[test]
    fn headers_have_a_limited_number_of_tokens() {
        let offers = |count| vec!["permessage-deflate"; count].join(",");
        assert_eq!(response(&offers(MAX_TOKENS)).as_deref(), Some(PLAIN));
        for header in [
            offers(MAX_TOKENS + 1),
            offers(10_000),
            format!("permessage-deflate{}", "; a".repeat(10_000)),
            ",".repeat(10_000),
        ] {
            assert_eq!(negotiate(&header, TERMS), Err(MalformedOffer));
        }
    }

    #[test]
    fn clients_can_be_told_to_keep_no_context() {
        let terms = Terms {
            client_no_context_takeover: true,
            ..TERMS
        };
        let agreement = negotiate("permessage-deflate", terms).unwrap().unwrap();
        assert_eq!(
            agreement.response(),
            format!("{PLAIN}; client_no_context_takeover")
        );
        assert!(agreement.peer_alone);
        assert_eq!(agreement.window_bits, 15);
    }

    #[test]
    fn the_smaller_of_both_windows_is_taken_and_told() {
        for (most, header, bits, told) in [
            (15, "permessage-deflate", 15, ""),
            (12, "permessage-deflate", 12, "; server_max_window_bits=12"),
            (
                12,
                "permessage-deflate; server_max_window_bits=15",
                12,
                "; server_max_window_bits=12",
            ),
            (
                12,
                "permessage-deflate; server_max_window_bits=10",
                10,
                "; server_max_window_bits=10",
            ),
        ] {
            let terms = Terms {
                server_max_window_bits: most,
                ..TERMS
            };
            let agreement = negotiate(header, terms).unwrap().unwrap();
            assert_eq!(agreement.window_bits, bits, "{header}");
            assert_eq!(agreement.response(), format!("{PLAIN}{told}"), "{header}");
        }
    }

    #[test]
    fn answers_to_the_offer_of_a_client_are_read() {
        for (header, alone) in [
            ("permessage-deflate", false),
            ("permessage-deflate; client_no_context_takeover", false),
            (
                "permessage-deflate;server_no_context_takeover; client_no_context_takeover",
                true,
            ),
            ("permessage-deflate; server_max_window_bits=8", false),
        ] {
            let agreement = accept(header).unwrap();
            assert_eq!(
                (agreement.peer_alone, agreement.window_bits),
                (alone, 15),
                "{header}"
            );
        }
        for header in [
            "",
            "x-webkit-deflate-frame",
            "permessage-deflate, permessage-deflate",
            "permessage-deflate; unknown",
            "permessage-deflate; client_max_window_bits=15",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=\"9\"",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            &format!("permessage-deflate{}", "; a".repeat(100)),
        ] {
            assert_eq!(accept(header), Err(MalformedOffer), "{header}");
        }
    }

    #[test]
    fn server_and_client_agree() {
        let agreed = negotiate(OFFER, TERMS).unwrap().unwrap();
        assert!(agreed.peer_alone);
        assert!(accept(&agreed.response()).unwrap().peer_alone);
    }
}
