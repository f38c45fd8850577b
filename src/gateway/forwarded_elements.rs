//! `Forwarded` (RFC 7239 §4) and the comma lists of the `X-Forwarded` family, read strictly: one malformed character and
//! the whole field says nothing.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderValue;
use http::header::GetAll;

use crate::origin::Scheme;

/// More parameters than an element ever has: each name is compared with those before it, and a header has room for
/// thousands.
const MOST_PARAMETERS: usize = 16;

/// A field that cannot be read in one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a forwarded field is malformed")]
pub(super) struct Malformed;

/// One element of `Forwarded`: what one proxy says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'a> {
    node: Option<String>,
    proto: Option<String>,
    /// Other parameters are read and not used; their names must not repeat either.
    names: Vec<&'a str>,
}

impl Element<'_> {
    /// The address after `for`; `unknown` and obfuscated names are none.
    pub(super) fn address(&self) -> Result<IpAddr, Malformed> {
        address(self.node.as_deref().ok_or(Malformed)?)
    }

    pub(super) fn scheme(&self) -> Option<Scheme> {
        scheme(self.proto.as_deref()?)
    }
}

/// The members of a list over all lines of a field; `None` when there is no such field.
pub(super) fn list<'a>(lines: GetAll<'a, HeaderValue>) -> Result<Option<Vec<&'a str>>, Malformed> {
    let mut members = Vec::new();
    for line in lines {
        let line = line.to_str().map_err(|_| Malformed)?;
        for member in line.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                return Err(Malformed);
            }
            members.push(member);
        }
    }
    Ok(Some(members).filter(|members| !members.is_empty()))
}

/// The elements over all lines of `Forwarded`; `None` when there is no such field.
pub(super) fn forwarded<'a>(lines: GetAll<'a, HeaderValue>) -> Result<Option<Vec<Element<'a>>>, Malformed> {
    let mut elements = Vec::new();
    for line in lines {
        let mut rest = line.to_str().map_err(|_| Malformed)?;
        loop {
            let (element, after) = element(rest)?;
            elements.push(element);
            match after {
                Some(after) => rest = after,
                None => break,
            }
        }
    }
    Ok(Some(elements).filter(|elements| !elements.is_empty()))
}

/// One element and what follows its comma.
fn element(text: &str) -> Result<(Element<'_>, Option<&str>), Malformed> {
    let mut element = Element::default();
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once('=').ok_or(Malformed)?;
        let name = name.trim_start_matches([' ', '\t']);
        let (value, after) = value(after)?;
        let repeated = element.names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if !is_token(name) || repeated || element.names.len() == MOST_PARAMETERS {
            return Err(Malformed);
        }
        element.names.push(name);
        if name.eq_ignore_ascii_case("for") {
            element.node = Some(value);
        } else if name.eq_ignore_ascii_case("proto") {
            element.proto = Some(value);
        }
        let after = after.trim_start_matches([' ', '\t']);
        if after.is_empty() {
            return Ok((element, None));
        }
        if let Some(next) = after.strip_prefix(',') {
            return Ok((element, Some(next)));
        }
        rest = after.strip_prefix(';').ok_or(Malformed)?;
    }
}

/// A token or a quoted string (RFC 9110 §5.6.4), and what follows it.
fn value(text: &str) -> Result<(String, &str), Malformed> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        let (value, after) = text.split_at_checked(end).ok_or(Malformed)?;
        return if is_token(value) { Ok((value.to_owned(), after)) } else { Err(Malformed) };
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next().ok_or(Malformed)? {
            '"' => return Ok((value, characters.as_str())),
            '\\' => value.push(characters.next().ok_or(Malformed)?),
            plain => value.push(plain),
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// An address with or without a port: `192.0.2.7`, `192.0.2.7:443`, `2001:db8::1`, `[2001:db8::1]:443`. No zones, no
/// names. An IPv4 address that is mapped into IPv6 is the IPv4 address.
pub(super) fn address(text: &str) -> Result<IpAddr, Malformed> {
    let bracketed = |inner: &str| inner.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| Malformed);
    let address = if let Some(inner) = text.strip_prefix('[') {
        let (inner, port) = inner.split_once(']').ok_or(Malformed)?;
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return Err(Malformed);
        }
        bracketed(inner)?
    } else {
        match text.split_once(':') {
            Some((address, port)) if !port.contains(':') && is_port(port) => {
                IpAddr::V4(address.parse().map_err(|_| Malformed)?)
            }
            _ => text.parse().map_err(|_| Malformed)?,
        }
    };
    Ok(address.to_canonical())
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// The scheme of a browser; some proxies name that of a WebSocket instead.
pub(super) fn scheme(text: &str) -> Option<Scheme> {
    match text.to_ascii_lowercase().as_str() {
        "https" | "wss" => Some(Scheme::Https),
        "http" | "ws" => Some(Scheme::Http),
        _ => None,
    }
}
