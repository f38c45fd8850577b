//! Who may ask at the admin listener.
//!
//! A browser sends the password of `Basic` along with whatever page has it send something, so a token alone is not enough:
//! neither another page nor a foreign name that leads to this address may use it.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use zeroize::Zeroizing;

use crate::origin::{Host, Scheme};
use crate::secret::AdminToken;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where the admin listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListensAt {
    /// A socket that the system keeps to its owner.
    Unix,
    /// An address.
    Tcp(IpAddr),
}

/// Why somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The request is for a name that is not this listener's.
    Host,
    /// `Origin` is another one.
    Origin,
    /// The browser says that it comes from another page.
    FetchMetadata,
    /// It would change something, and nothing says that no other page has made it.
    Unmarked,
    /// No token came.
    NoToken,
    /// Another token came.
    WrongToken,
    /// Too many wrong ones came.
    TooMany,
}

impl Denied {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Origin => "origin",
            Self::FetchMetadata => "fetch-metadata",
            Self::Unmarked => "unmarked",
            Self::NoToken | Self::WrongToken => "token",
            Self::TooMany => "too-many",
        }
    }
}

/// Whether the request comes from nowhere, or from a page of this very listener. `ambient` says that a browser might
/// send credentials without being asked.
pub(super) fn check_provenance(
    method: &Method,
    headers: &HeaderMap,
    listens_at: ListensAt,
    ambient: bool,
) -> Result<(), Denied> {
    let host = one(headers, &header::HOST).ok().flatten().and_then(|value| value.to_str().ok());
    let host = host.and_then(|host| Host::parse(host, Scheme::Http).ok()).ok_or(Denied::Host)?;
    if !is_own(&host, listens_at) {
        return Err(Denied::Host);
    }
    let own_origin = match one(headers, &header::ORIGIN).map_err(|Several| Denied::Origin)? {
        None => false,
        Some(origin) if origin.as_bytes().strip_prefix(b"http://") == Some(host.as_str().as_bytes()) => true,
        Some(_) => return Err(Denied::Origin),
    };
    let own_page = match one(headers, &SEC_FETCH_SITE).map_err(|Several| Denied::FetchMetadata)? {
        None => false,
        Some(site) if site == "same-origin" => true,
        Some(site) if site == "none" => false,
        Some(_) => return Err(Denied::FetchMetadata),
    };
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    // A bearer token is in no browser's keeping; whoever sends one means it.
    if safe || !ambient || own_origin || own_page || credentials(headers, "bearer").is_some() {
        Ok(())
    } else {
        Err(Denied::Unmarked)
    }
}

/// Names that nobody else can have lead here: a page at any other name may have been led here by its owner.
///
/// The port is not looked at: it is another one where it is forwarded, as by `ssh -L` and `kubectl port-forward`.
fn is_own(host: &Host, listens_at: ListensAt) -> bool {
    if host.is_loopback() {
        return true;
    }
    let literal = host.name().trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match (listens_at, literal) {
        (ListensAt::Tcp(own), Ok(literal)) => own.is_unspecified() || own.to_canonical() == literal.to_canonical(),
        _ => false,
    }
}

/// Compares the token that came in `Authorization: Bearer`, or as the password of `Basic`, in constant time.
pub(super) fn check_token(headers: &HeaderMap, token: &AdminToken) -> Result<(), Denied> {
    if !headers.contains_key(header::AUTHORIZATION) {
        return Err(Denied::NoToken);
    }
    let shown = credentials(headers, "bearer").map(|text| AdminToken::new(text.to_owned()));
    match shown.or_else(|| password(credentials(headers, "basic")?)) {
        Some(shown) if shown == *token => Ok(()),
        _ => Err(Denied::WrongToken),
    }
}

/// The credentials of the one `Authorization` field, if they are of this scheme.
fn credentials<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let (scheme, credentials) = one(headers, &header::AUTHORIZATION).ok()??.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| credentials.trim_start_matches(' '))
}

/// The half behind the first colon (RFC 7617 §2).
fn password(credentials: &str) -> Option<AdminToken> {
    let pair = Zeroizing::new(STANDARD.decode(credentials).ok()?);
    let (_, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some(AdminToken::new(password.to_owned()))
}

/// A field came twice that means something only once.
struct Several;

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Several> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Several),
    }
}

#[cfg(test)]
#[path = "admission/tests.rs"]
mod tests;
