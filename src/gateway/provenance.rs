//! Where a request comes from, as far as that can be believed: `Forwarded` (RFC 7239), `X-Forwarded-For` and
//! `X-Forwarded-Proto` of trusted proxies. Nobody else's are looked at, and host, port and prefix never.
//!
//! Addresses are read from the right: each trusted proxy has added the one that it was connected from, and everything to
//! the left of the first address that is no trusted proxy's is what that one has claimed.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header::FORWARDED};

use super::forwarded_elements::{self, Element, Malformed};
use crate::origin::Scheme;
use crate::server::ConnectionInfo;
use crate::server::trusted_proxies::TrustedProxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// More trusted proxies in a row than anybody has; a longer list is not believed at all.
const MOST_HOPS: usize = 16;

/// Where a request comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The peer of the connection; none on a Unix socket.
    peer: Option<IpAddr>,
    /// Whether the peer is a trusted proxy.
    trusted: bool,
    /// Whether the peer's address is that of the user agent.
    direct: bool,
    /// The user agent's address and those of the trusted proxies after it, without the peer: empty when nothing is
    /// believed.
    hops: Vec<IpAddr>,
    /// The scheme between the user agent and the outermost proxy, as a trusted one tells it.
    scheme: Option<Scheme>,
}

impl Provenance {
    /// Reads what a trusted peer says; of anybody else only the peer's own address counts.
    ///
    /// Nothing here fails: what cannot be read strictly, or is told in two ways, is not believed.
    #[must_use]
    pub fn read(headers: &HeaderMap, connection: ConnectionInfo, proxies: &TrustedProxies) -> Self {
        let peer = connection.peer.map(|peer| peer.ip().to_canonical());
        if proxies.is_empty() || !proxies.trusts_peer(peer) {
            return Self { peer, direct: connection.is_direct, ..Self::default() };
        }
        let forwarded = forwarded_elements::forwarded(headers.get_all(FORWARDED));
        let listed = forwarded_elements::list(headers.get_all(X_FORWARDED_FOR));
        let by_forwarded = forwarded
            .as_ref()
            .map_err(|malformed| *malformed)
            .and_then(|elements| walk(elements.iter().flatten().rev().map(Element::address), proxies));
        let by_list = listed.and_then(|listed| {
            walk(listed.iter().flatten().rev().map(|text| forwarded_elements::address(text)), proxies)
        });
        let hops = match (by_forwarded, by_list) {
            (Ok(Some(one)), Ok(Some(other))) if one == other => one,
            (Ok(Some(only)), Ok(None)) | (Ok(None), Ok(Some(only))) => only,
            // Two stories, or one that cannot be read: a proxy has let through what somebody in front of it wrote.
            _ => Vec::new(),
        };
        let scheme = scheme(headers, forwarded.ok().flatten().as_deref(), hops.len());
        Self { peer, trusted: true, direct: false, hops, scheme }
    }

    /// The address to name in logs: the user agent's if it is believed, else the peer's.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.hops.first().copied().or(self.peer)
    }

    /// The address of the user agent, only if it is known to be one: told by a trusted proxy, or that of a connection
    /// which shows it.
    #[must_use]
    pub fn user_agent(&self) -> Option<IpAddr> {
        self.hops.first().copied().or_else(|| self.peer.filter(|_| self.direct))
    }

    /// The user agent's address and those of the trusted proxies after it, without the peer; empty when nothing is
    /// believed.
    #[must_use]
    pub fn hops(&self) -> &[IpAddr] {
        &self.hops
    }

    /// The peer of the connection; none on a Unix socket.
    #[must_use]
    pub const fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Whether the peer is a trusted proxy.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// Whether a trusted proxy says that the user agent has not used TLS.
    #[must_use]
    pub fn is_plain_http(&self) -> bool {
        self.scheme == Some(Scheme::Http)
    }
}

/// The believed addresses, the user agent's first: from the right up to the first one that is no trusted proxy's.
fn walk(
    from_the_right: impl Iterator<Item = Result<IpAddr, Malformed>>,
    proxies: &TrustedProxies,
) -> Result<Option<Vec<IpAddr>>, Malformed> {
    let mut hops = Vec::new();
    for address in from_the_right {
        let address = address?;
        if hops.len() == MOST_HOPS {
            return Err(Malformed);
        }
        hops.push(address);
        if !proxies.trusts(address) {
            break;
        }
    }
    hops.reverse();
    Ok(Some(hops).filter(|hops| !hops.is_empty()))
}

/// The scheme that is told, `http` if anybody says so: then a page came in clear, whatever the others say.
fn scheme(headers: &HeaderMap, forwarded: Option<&[Element<'_>]>, hops: usize) -> Option<Scheme> {
    let listed = forwarded_elements::list(headers.get_all(X_FORWARDED_PROTO)).ok().flatten().unwrap_or_default();
    let mut told = listed.iter().map(|text| forwarded_elements::scheme(text));
    // Every proxy of the list has to say the same: which of them stood next to the user agent is not known.
    let by_list = told.next().flatten().filter(|first| told.all(|other| other == Some(*first)));
    let by_forwarded = forwarded.and_then(|elements| {
        let told_by = elements.len().checked_sub(hops.max(1))?;
        elements.get(told_by)?.scheme()
    });
    match (by_list, by_forwarded) {
        (Some(Scheme::Http), _) | (_, Some(Scheme::Http)) => Some(Scheme::Http),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
#[path = "provenance/tests.rs"]
mod tests;
