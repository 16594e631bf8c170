//! What the head of a request says that belongs to a connection on polling, where it says no more than clients do.
//!
//! Nearly every request of a server is such a one. Whatever is not is left to the checks that know every case; so this may
//! be stricter than they are, never softer.

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Headers.
    pub headers: usize,
    /// Bytes of all names and values.
    pub size: usize,
    /// Bytes that a body may be announced with.
    pub body: u64,
}

/// The head of a request that belongs to a connection on polling.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Visit<'a> {
    /// The id of the connection.
    pub sid: &'a [u8],
    /// The page that it comes from.
    pub origin: Option<&'a [u8]>,
    /// Whom it asks.
    pub host: Option<&'a [u8]>,
}

impl<'a> Visit<'a> {
    /// Read a head; nothing if the query is not that of a client, a header that matters stands twice or is refused, or the
    /// whole is larger than it may be.
    #[must_use]
    pub fn read(
        query: &'a [u8],
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        limits: HeadLimits,
    ) -> Option<Self> {
        let mut visit = Self {
            sid: session(query)?,
            ..Self::default()
        };
        let (mut count, mut size) = (0_usize, 0_usize);
        for (name, value) in headers {
            count += 1;
            size += name.len() + value.len();
            let is_plain = match name {
                b"origin" => visit.origin.replace(value).is_none(),
                b"host" => visit.host.replace(value).is_none(),
                b"content-type" => value != b"application/octet-stream",
                b"content-length" => number(value).is_some_and(|length| length <= limits.body),
                _ => true,
            };
            if !is_plain {
                return None;
            }
        }
        (count <= limits.headers && size <= limits.size).then_some(visit)
    }
}

/// The session id in the query that a client on polling sends with each request.
fn session(query: &[u8]) -> Option<&[u8]> {
    if query.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return None; // something to decode
    }
    let (mut sid, mut protocol, mut transport) = (None, None, None);
    for pair in query.split(|&byte| byte == b'&') {
        let mut parts = pair.splitn(2, |&byte| byte == b'=');
        let (name, value) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let known = match name {
            b"sid" => &mut sid,
            b"EIO" => &mut protocol,
            b"transport" => &mut transport,
            b"j" => return None,
            _ => continue,
        };
        if known.replace(value).is_some() {
            return None;
        }
    }
    let is_plain = protocol == Some(b"4") && transport == Some(b"polling");
    sid.filter(|sid| is_plain && sid.is_ascii())
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        headers: 2,
        size: 20,
        body: 100,
    };

    fn read<'a>(query: &'a str, headers: &[(&'a str, &'a str)]) -> Option<Visit<'a>> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Visit::read(query.as_bytes(), headers, LIMITS)
    }

    #[test]
    fn query_of_a_client_is_read_in_any_order() {
        for query in [
            "EIO=4&transport=polling&t=abc&sid=x",
            "sid=x&transport=polling&EIO=4&",
            "token=&&sid=x&transport=polling&EIO=4&a=b=c",
        ] {
            assert_eq!(read(query, &[]).unwrap().sid, b"x", "{query}");
        }
    }

    #[test]
    fn other_queries_are_not() {
        for query in [
            "",
            "EIO=4&transport=polling",
            "EIO=3&transport=polling&sid=x",
            "transport=polling&sid=x",
            "EIO=4&sid=x",
            "EIO=4&transport=websocket&sid=x",
            "EIO=4&transport=polling&sid=x&sid=x",
            "EIO=4&EIO=4&transport=polling&sid=x",
            "EIO=4&transport=polling&sid=x&j",
            "EIO=4&transport=polling&sid=x&j=0",
            "EIO=4&transport=polling&sid=%78",
            "EIO=4&transport=polling&sid=x&t=a+b",
            "EIO=4&transport=polling&sid=é",
        ] {
            assert_eq!(read(query, &[]), None, "{query}");
        }
    }

    #[test]
    fn headers_that_matter_are_read() {
        let query = "EIO=4&transport=polling&sid=x";
        let visit = read(query, &[("origin", "o"), ("host", "h")]).unwrap();
        assert_eq!(visit.origin, Some(b"o".as_slice()));
        assert_eq!(visit.host, Some(b"h".as_slice()));
        assert_eq!(read(query, &[("origin", "o"), ("origin", "o")]), None);
        assert!(read(query, &[("content-length", "100")]).is_some());
        for length in ["101", "-1", "1 ", "99999999999999999999999"] {
            assert_eq!(read(query, &[("content-length", length)]), None);
        }
    }

    #[test]
    fn octet_stream_is_left_to_the_checks() {
        let query = "EIO=4&transport=polling&sid=x";
        let limits = HeadLimits {
            size: 100,
            ..LIMITS
        };
        let header: (&[u8], &[u8]) = (b"content-type", b"application/octet-stream");
        let visit = Visit::read(query.as_bytes(), [header].into_iter(), limits);
        assert_eq!(visit, None);
    }

    #[test]
    fn head_has_limits() {
        let query = "EIO=4&transport=polling&sid=x";
        assert!(read(query, &[("a", ""), ("b", "")]).is_some());
        assert_eq!(read(query, &[("a", ""), ("b", ""), ("c", "")]), None);
        assert!(read(query, &[("a", "1234567890123456789")]).is_some());
        assert_eq!(read(query, &[("a", "12345678901234567890")]), None);
    }
}
