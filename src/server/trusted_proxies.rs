//! Whose word about a request is believed: `listen.trusted_proxies`. The default is nobody's.

use std::net::IpAddr;

use ipnet::IpNet;

/// The peers whose client address and scheme are believed, and who may ask for a decision by forward-auth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
}

impl TrustedProxies {
    /// The proxies in these networks, and those that connect over a Unix socket if `unix`.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>, unix: bool) -> Self {
        Self { networks, unix }
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether the peer of a connection is trusted; one without an address came over a Unix socket.
    #[must_use]
    pub fn trusts_peer(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or(self.unix, |peer| self.trusts(peer))
    }

    /// Whether an address is a trusted proxy's. An IPv4 address that is mapped into IPv6 is the IPv4 address.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_trusted_unless_somebody_is_named() {
        let nobody = TrustedProxies::default();
        assert!(nobody.is_empty());
        assert!(!nobody.trusts_peer(None));
        assert!(!nobody.trusts_peer(Some("127.0.0.1".parse().unwrap())));
    }

    #[test]
    fn a_mapped_address_is_the_address() {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], false);
        for inside in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
            assert!(trusted.trusts(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.1", "::ffff:11.0.0.1", "fe80::1", "::10.1.2.3"] {
            assert!(!trusted.trusts(outside.parse().unwrap()), "{outside}");
        }
        assert!(!trusted.trusts_peer(None), "a Unix socket has to be named");
        assert!(TrustedProxies::new(Vec::new(), true).trusts_peer(None));
    }
}
