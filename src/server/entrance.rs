//! How connections to a listener come in: with TLS, behind the PROXY protocol, with HTTP/2 in clear.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;

use super::settings::ListenSettings;
use super::tls;
use super::trusted_proxies::TrustedProxies;

/// How connections come in. The default is HTTP/1 in clear.
#[derive(Clone, Debug, Default)]
pub struct Entrance {
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) h2c: bool,
    pub(super) proxy_protocol: bool,
    pub(super) trusted_proxies: TrustedProxies,
}

impl Entrance {
    /// The entrance that the settings of the public listener describe.
    ///
    /// # Errors
    /// A certificate or a key that cannot be used.
    pub fn of(settings: &ListenSettings) -> Result<Self, rustls::Error> {
        Ok(Self {
            tls: settings.tls.as_ref().map(tls::server_config).transpose()?,
            h2c: settings.h2c,
            proxy_protocol: settings.proxy_protocol,
            trusted_proxies: settings.trusted_proxies.clone(),
        })
    }

    /// Whether a connection is HTTP/1 from its first byte.
    pub(super) const fn is_plain(&self) -> bool {
        self.tls.is_none() && !self.h2c && !self.proxy_protocol
    }
}

/// An entrance that can be replaced while its listener runs; clones are one and the same.
///
/// A connection keeps the one that it came in by: new certificates are shown to new connections.
#[derive(Clone, Debug, Default)]
pub struct SharedEntrance(Arc<ArcSwap<Entrance>>);

impl SharedEntrance {
    /// An entrance in force from now on.
    #[must_use]
    pub fn new(entrance: Entrance) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(entrance)))
    }

    /// The one in force.
    pub(super) fn current(&self) -> Arc<Entrance> {
        self.0.load_full()
    }

    /// Puts another one in force.
    pub fn replace(&self, entrance: Entrance) {
        self.0.store(Arc::new(entrance));
    }
}
