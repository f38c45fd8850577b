//! What a proxy asks about at `/oauth2/auth`: one request, described in exactly one manner.
//!
//! Two descriptions at once are refused, because one of them may be the user agent's: nothing that it can write may stand
//! beside what its proxy writes.

use http::{HeaderMap, HeaderName, Method};

use super::canonical_path::CanonicalPath;
use super::code::Code;
use super::field::Field;
use super::ingress::Ingress;
use super::method::may_be_forwarded;
use super::refusal::Refusal;
use super::route::RouteTable;
use crate::server::settings::Limits;

const FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");

/// Reads the request that is asked about. `rest` is what follows the path of the endpoint: empty when headers describe
/// the request, else its path.
///
/// # Errors
/// 400 for anything but exactly one whole description, and for a path that is ambiguous.
pub(super) fn asked(
    ingress: &Ingress,
    headers: &HeaderMap,
    rest: &str,
    routes: &RouteTable,
    limits: &Limits,
) -> Result<Ingress, Refusal> {
    let described = described(headers)?;
    let (method, target) = match (described, rest.is_empty()) {
        (Some((method, uri)), true) => (method, Some(uri)),
        (None, false) => (ingress.method.clone(), None),
        (Some(_), false) => return Err(malformed("two-descriptions")),
        (None, true) => return Err(malformed("no-description")),
    };
    if !may_be_forwarded(&method) {
        return Err(malformed("method"));
    }
    let policy = routes.path_policy(&ingress.host).ok_or(Refusal::of(Code::Misdirected))?;
    let (path, query) = match target {
        Some(target) if target.len() > limits.target_bytes => return Err(malformed("target")),
        Some(target) => match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        },
        None => (rest, ingress.query.clone()),
    };
    // A fragment is no part of a request target, and servers disagree about what becomes of one.
    if query.as_deref().is_some_and(|query| query.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#')) {
        return Err(malformed("query"));
    }
    let path = CanonicalPath::parse(path, policy).map_err(|_| malformed("path"))?;
    Ok(ingress.asked(headers, method, path, query))
}

/// Method and target of the one pair of headers that is there.
fn described(headers: &HeaderMap) -> Result<Option<(Method, &str)>, Refusal> {
    let forwarded = pair(headers, &FORWARDED_METHOD, &FORWARDED_URI)?;
    let original = pair(headers, &ORIGINAL_METHOD, &ORIGINAL_URI)?;
    match (forwarded, original) {
        (Some(_), Some(_)) => Err(malformed("two-descriptions")),
        (one, other) => Ok(one.or(other)),
    }
}

fn pair<'a>(
    headers: &'a HeaderMap,
    method: &HeaderName,
    uri: &HeaderName,
) -> Result<Option<(Method, &'a str)>, Refusal> {
    match (single(headers, method)?, single(headers, uri)?) {
        (None, None) => Ok(None),
        (Some(method), Some(uri)) => {
            let method = Method::from_bytes(method.as_bytes()).map_err(|_| malformed("method"))?;
            Ok(Some((method, uri)))
        }
        _ => Err(malformed("half-a-description")),
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    match Field::of(headers, name) {
        Field::Absent => Ok(None),
        Field::One(value) => value.to_str().map(Some).map_err(|_| malformed("characters")),
        Field::Several => Err(malformed("repeated")),
    }
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::of(Code::ForwardAuthMalformed).with_detail(detail)
}
