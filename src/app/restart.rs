//! What a running gateway cannot change about itself.

use std::path::PathBuf;

use crate::gateway::settings::Settings;
use crate::server::settings::ListenAddress;
use crate::session::settings::{RedisSettings, RedisTopology, StoreSettings};
use crate::telemetry::settings::{AuditSink, LogFormat};

/// The settings that hold from start to end.
///
/// Addresses are bound once, and under the store lie the sessions. Sessions, cookies and everything that is registered at
/// the provider are bound to origin, path and prefix: a login under way would come back to a path that is no longer ours,
/// with its code, and reach an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    public_url: String,
    endpoint_prefix: String,
    address: ListenAddress,
    reuse_port: bool,
    probe_address: ListenAddress,
    admin_address: Option<ListenAddress>,
    store: FixedStore,
    log_format: LogFormat,
    audit: AuditSink,
}

impl Fixed {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            public_url: settings.public_url.namespace(),
            endpoint_prefix: settings.endpoint_prefix.clone(),
            address: settings.listen.address.clone(),
            reuse_port: settings.listen.reuse_port,
            probe_address: settings.listen.probe_address.clone(),
            admin_address: settings.listen.admin_address.clone(),
            store: FixedStore::of(&settings.session.store),
            log_format: settings.log.format,
            audit: settings.log.audit.clone(),
        }
    }

    /// The keys of the configuration whose values are others in `new`.
    pub(super) fn changed_in(&self, new: &Self) -> Vec<&'static str> {
        let store = match (&self.store, &new.store) {
            (FixedStore::Memory { .. }, FixedStore::Memory { .. }) => "session.max_sessions",
            _ => "session.store",
        };
        [
            ("public_url", self.public_url != new.public_url),
            ("listen.address", self.address != new.address),
            ("listen.reuse_port", self.reuse_port != new.reuse_port),
            ("listen.probe_address", self.probe_address != new.probe_address),
            ("listen.admin_address", self.admin_address != new.admin_address),
            ("listen.endpoint_prefix", self.endpoint_prefix != new.endpoint_prefix),
            (store, self.store != new.store),
            ("log.format", self.log_format != new.log_format),
            ("log.audit", self.audit != new.audit),
        ]
        .into_iter()
        .filter_map(|(key, changed)| changed.then_some(key))
        .collect()
    }
}

/// The store without what one gets there with: that may change, as every secret may.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FixedStore {
    Memory { max_sessions: usize },
    File { directory: PathBuf },
    Redis { topology: RedisTopology, tls: bool },
}

impl FixedStore {
    fn of(settings: &StoreSettings) -> Self {
        match settings {
            StoreSettings::Memory { max_sessions } => Self::Memory { max_sessions: *max_sessions },
            StoreSettings::File { directory } => Self::File { directory: directory.clone() },
            StoreSettings::Redis(RedisSettings { topology, access }) => {
                Self::Redis { topology: topology.clone(), tls: access.tls.is_some() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{self, Environment};
    use crate::entropy::SystemEntropy;

    struct Nothing;

    impl Environment for Nothing {
        fn variable(&self, name: &str) -> Option<String> {
            (name == "SECRET").then(|| "secret".to_owned())
        }
    }

    const PROVIDER: &str = "[provider]\nissuer = \"https://id.example.com\"\nclient_id = \"wiki\"\n\
                            client_secret = { env = \"SECRET\" }\n[[upstream]]\ntarget = \"http://127.0.0.1:3000\"\n";

    fn fixed(top: &str, sections: &str) -> Fixed {
        let text = format!("public_url = \"{top}\"\n{sections}\n{PROVIDER}");
        let loaded = config::parse(&text, Path::new("v.toml"), Path::new("/"), &Nothing, &SystemEntropy);
        Fixed::of(&loaded.unwrap_or_else(|error| panic!("{error}")).settings)
    }

    const URL: &str = "https://wiki.example.com";

    #[test]
    fn what_needs_a_restart_is_named_by_its_key() {
        let before = fixed(URL, "");
        for (after, keys) in [
            (fixed("https://tools.example.com", ""), &["public_url"][..]),
            (fixed(URL, "[listen]\naddress = \"127.0.0.1:9\""), &["listen.address"]),
            (fixed(URL, "[listen]\nreuse_port = true"), &["listen.reuse_port"]),
            (fixed(URL, "[listen]\nprobe_address = \"127.0.0.1:9\""), &["listen.probe_address"]),
            (fixed(URL, "[listen]\nadmin_address = \"unix:/run/admin.sock\""), &["listen.admin_address"]),
            (fixed(URL, "[listen]\nendpoint_prefix = \"/gate\""), &["listen.endpoint_prefix"]),
            (fixed(URL, "[session]\nmax_sessions = 7"), &["session.max_sessions"]),
            (fixed(URL, "[session]\nstore = \"file:/var/lib/vestibule\""), &["session.store"]),
            (fixed(URL, "[session]\nstore = \"redis://localhost\""), &["session.store"]),
            (fixed(URL, "[log]\nformat = \"text\""), &["log.format"]),
            (fixed(URL, "[log]\naudit = { file = \"/var/log/audit\" }"), &["log.audit"]),
            (
                fixed(URL, "[listen]\naddress = \"127.0.0.1:9\"\n[log]\nformat = \"text\""),
                &["listen.address", "log.format"],
            ),
        ] {
            assert_eq!(before.changed_in(&after), keys);
        }
    }

    #[test]
    fn everything_else_does_not() {
        let before = fixed(URL, "");
        for sections in [
            "[session]\nlifetime = \"1h\"\nidle_timeout = \"5m\"",
            "[log]\nlevel = \"warn\"\naccess = false\nuser = \"name\"",
            "[listen]\nstartup_grace = \"1s\"",
            "[pages]\nname = \"Corp\"",
        ] {
            assert_eq!(before.changed_in(&fixed(URL, sections)), [""; 0], "{sections}");
        }
        let (as_one, as_another) =
            ("rediss://r", "rediss://r\"\nstore_password = { env = \"SECRET\" }\nstore_username = \"v");
        let redis = |store: &str| fixed(URL, &format!("[session]\nstore = \"{store}\""));
        assert_eq!(redis(as_one).changed_in(&redis(as_another)), [""; 0], "secrets may change");
        assert_eq!(redis(as_one).changed_in(&redis("redis://r")), ["session.store"]);
        assert_eq!(before.changed_in(&fixed("https://WIKI.example.com:443/", "")), [""; 0], "spelled otherwise");
    }
}
