//! How connections come in: `listen.tls`, `h2c`, `proxy_protocol` and `reuse_port`, and what they must be to each other.

use std::sync::Arc;

use crate::origin::PublicUrl;
use crate::server::settings::{ListenAddress, ListenSettings, ListenTls, TlsVersion};

use super::certificates;
use super::keys::LISTEN_TLS;
use super::section::Section;

const EXAMPLE: &str = "{ certificate = \"tls.crt\", key = \"tls.key\" }, or a list of those";

/// Reads `tls`: one certificate with its key, or several of them.
pub(super) fn tls(section: &Section<'_>) -> Option<ListenTls> {
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let minimum_version = section.choice("tls_minimum_version", TlsVersion::default(), &versions);
    let setting = section.setting("tls")?;
    let tables = if setting.is_array() { setting.items(EXAMPLE)? } else { vec![setting] };
    let mut identities = Vec::with_capacity(tables.len());
    for table in &tables {
        if !table.is_table() {
            table.wrong_type("a table", EXAMPLE);
            return None;
        }
        let certificate = table.section(&LISTEN_TLS)?;
        match certificates::identity(&certificate) {
            Some(identity) => identities.push(Arc::new(identity)),
            None if certificate.setting("certificate").or_else(|| certificate.setting("key")).is_none() => {
                table.refuse(format!("`{}` names no certificate", table.path()), format!("write {EXAMPLE}"));
            }
            None => {}
        }
    }
    if tables.is_empty() {
        section.refuse_at("tls", "`listen.tls` names no certificate", format!("write {EXAMPLE}"));
    }
    // With one missing, somebody would be shown another one's.
    (identities.len() == tables.len() && !identities.is_empty()).then_some(ListenTls { identities, minimum_version })
}

/// Refuses what makes no sense together.
pub(super) fn check(section: &Section<'_>, settings: &ListenSettings, public_url: Option<&PublicUrl>) {
    let has_tls = section.setting("tls").is_some();
    if has_tls && public_url.is_some_and(PublicUrl::is_development) {
        let message =
            "`listen.tls` is for a public_url that begins with https: browsers would be told to come without it";
        section.refuse_at("tls", message, "write https in `public_url`, or take `tls` out");
    }
    if section.setting("tls_minimum_version").is_some() && !has_tls {
        let message = "`listen.tls_minimum_version` says nothing without `listen.tls`";
        section.refuse_at("tls_minimum_version", message, "write `tls` besides, or take it out");
    }
    if settings.h2c && has_tls {
        let message = "`listen.h2c` is HTTP/2 without TLS, and here everything comes with it";
        section.refuse_at("h2c", message, "take it out: with `tls` HTTP/2 is spoken with whoever can");
    }
    if settings.proxy_protocol && settings.trusted_proxies.is_empty() {
        let message = "`listen.proxy_protocol` without `listen.trusted_proxies`: nobody's header would be believed";
        section.refuse_at("proxy_protocol", message, "name the addresses of the proxies that send it");
    }
    if settings.reuse_port && matches!(settings.address, ListenAddress::Unix(_)) {
        let message = "`listen.reuse_port` is for a port, but `listen.address` is a Unix socket";
        section.refuse_at("reuse_port", message, "take it out");
    }
}
