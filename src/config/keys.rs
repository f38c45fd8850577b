//! Every key of the configuration: the one table that the reader, the documentation and the example file are held to.

/// The keys of one kind of table.
#[derive(Debug)]
pub struct Keys {
    /// The path of the table, empty for the top of the file.
    pub table: &'static str,
    /// Keys that are read.
    pub built: &'static [&'static str],
    /// Keys that are planned; they are refused, never ignored.
    pub unbuilt: &'static [&'static str],
}

macro_rules! keys {
    ($($name:ident $table:literal [$($built:literal)*] [$($unbuilt:literal)*])*) => {
        $(pub(super) static $name: Keys = Keys { table: $table, built: &[$($built),*], unbuilt: &[$($unbuilt),*] };)*
        /// Every table that can be written.
        pub static ALL: &[&Keys] = &[$(&$name),*];
    };
}

keys! {
    ROOT "" ["public_url" "listen" "log" "pages" "session" "provider" "providers" "upstream"] []
    LISTEN "listen" ["address" "probe_address" "endpoint_prefix" "startup_grace" "limits"
        "trusted_proxies" "admin_address" "admin_token" "tls" "tls_minimum_version" "h2c" "proxy_protocol" "reuse_port"]
        []
    LISTEN_TLS "listen.tls" ["certificate" "key"] []
    LIMITS "listen.limits"
        ["headers" "header_bytes" "target_bytes" "cookie_bytes" "body_bytes" "body_rate" "header_timeout" "keep_alive"
         "connections" "callbacks_per_second" "callbacks_per_address" "websockets_per_session"
         "websockets_per_address" "drain_delay" "drain_timeout" "streams" "handshake_timeout"
         "connections_per_address"]
        []
    LOG "log" ["format" "level" "access" "audit" "user"] []
    AUDIT "log.audit" ["file"] []
    PAGES "pages" ["name" "contact"] []
    SESSION "session"
        ["store" "max_sessions" "lifetime" "idle_timeout" "keys" "cookie" "max_sessions_per_subject"
         "outage_grace" "store_username" "store_password" "store_sentinel_username" "store_sentinel_password"
         "store_tls"]
        []
    STORE_TLS "session.store_tls" ["ca_file" "certificate" "key"] []
    SESSION_KEY "session.keys" ["id" "file" "env"] []
    COOKIE "session.cookie" ["same_site" "persistent"] []
    PROVIDER "provider"
        ["issuer" "authorization_endpoint" "token_endpoint" "userinfo_endpoint" "revocation_endpoint"
         "end_session_endpoint" "jwks_uri" "email_endpoint" "client_id" "client_secret" "client_authentication"
         "scopes" "authorization_parameters" "claims" "email_verified" "pushed_authorization" "dpop"
         "clock_leeway" "timeouts" "concurrent_calls" "ca_file"]
        ["introspection_endpoint"]
    CLAIMS "provider.claims" ["subject" "username" "groups" "email"] []
    PROVIDER_TIMEOUTS "provider.timeouts" ["connect" "total"] []
    UPSTREAM "upstream"
        ["name" "host" "path" "strip_prefix" "target" "targets" "balance" "health" "limits" "pass_host" "provider" "access" "anonymous" "public" "api"
         "cross_site" "path_policy" "keep_authorization" "headers" "identity_headers" "basic_password"
         "identity_assertion" "timeouts" "tls" "forward_auth" "rule" "scopes"]
        ["resource" "token" "bearer"]
    HEADER "upstream.headers.NAME" ["value" "required" "list" "encode"] []
    IDENTITY_ASSERTION "upstream.identity_assertion" ["algorithm" "audience" "claims"] []
    ACCESS "upstream.access" ["claim" "contains" "equals" "email_domain" "any" "all" "not"] []
    CROSS_SITE "upstream.cross_site" ["origins" "paths"] []
    RULE "upstream.rule" ["path" "methods" "access" "anonymous" "public" "api" "step_up"] []
    STEP_UP "upstream.rule.step_up" ["acr" "max_age"] []
    UPSTREAM_TIMEOUTS "upstream.timeouts" ["connect" "response_header" "idle"] []
    UPSTREAM_HEALTH "upstream.health" ["path" "interval" "timeout" "failures" "successes" "ejection"] []
    UPSTREAM_LIMITS "upstream.limits" ["requests" "queue" "queue_timeout"] []
    UPSTREAM_TLS "upstream.tls" ["ca_file" "server_name" "certificate" "key"] []
    SECRET "client_secret" ["file" "env"] []
}

impl Keys {
    /// Whether somebody may write a secret itself into such a table, even as the name of a key.
    pub(super) fn may_hold_secrets(&self) -> bool {
        ["client_secret", "session.keys"].contains(&self.table)
    }

    /// What to write instead of a key that nobody knows.
    pub(super) fn advice(&self, unknown: &str) -> String {
        let nearest = self
            .built
            .iter()
            .chain(self.unbuilt)
            .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
            .min()
            .filter(|(distance, known)| *distance <= (known.len() / 3).max(2) && *distance < known.len());
        if let Some((_, known)) = nearest {
            return format!("did you mean `{known}`?");
        }
        if let Some(elsewhere) = ALL.iter().find(|keys| keys.built.contains(&unknown) && keys.table != "client_secret")
        {
            return match elsewhere.table {
                "" => format!("`{unknown}` belongs at the top of the file, before the first section"),
                "upstream" | "upstream.rule" => format!("`{unknown}` belongs in [[{}]]", elsewhere.table),
                table => format!("`{unknown}` belongs in [{table}]"),
            };
        }
        format!("known here: {}", self.built.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cf_01_the_nearest_key_is_named() {
        assert_eq!(PROVIDER.advice("client_secrt"), "did you mean `client_secret`?");
        assert_eq!(UPSTREAM.advice("acces"), "did you mean `access`?");
        assert_eq!(UPSTREAM.advice("lifetime"), "`lifetime` belongs in [session]");
        assert_eq!(UPSTREAM.advice("step_up"), "`step_up` belongs in [[upstream.rule]]");
        assert_eq!(UPSTREAM.advice("methods"), "`methods` belongs in [[upstream.rule]]");
        assert_eq!(RULE.advice("strip_prefix"), "`strip_prefix` belongs in [[upstream]]");
        assert_eq!(
            LISTEN.advice("public_url"),
            "`public_url` belongs at the top of the file, before the first section"
        );
        assert_eq!(PAGES.advice("colour_of_page"), "known here: name, contact");
    }

    #[test]
    fn cf_05_nothing_skips_the_login_by_address_or_turns_verification_off() {
        for keys in ALL {
            for key in keys.built.iter().chain(keys.unbuilt) {
                for word in ["skip", "insecure", "verify", "bypass", "trusted_ip", "disable"] {
                    assert!(!key.contains(word), "{key}");
                }
            }
        }
    }
}
