//! Where a provider is: an issuer to be discovered, endpoints by hand, or both.

use url::Url;

use crate::origin::PublicUrl;
use crate::provider::settings::Endpoints;

use super::section::Section;
use super::web_address;

/// Where a provider is.
pub(super) struct Source {
    pub(super) issuer: Option<String>,
    pub(super) endpoints: Endpoints,
    pub(super) plain_http: bool,
}

/// Reads `issuer` and the endpoints.
pub(super) fn source(section: &Section<'_>, public_url: Option<&PublicUrl>) -> Source {
    let development = public_url.is_some_and(PublicUrl::is_development);
    let issuer = issuer(section, development);
    let with_issuer = section.setting("issuer").is_some();
    let by_hand = |name: &str| endpoint(section, name, issuer.as_ref(), development);
    let endpoints = Endpoints {
        authorization: by_hand("authorization_endpoint"),
        token: by_hand("token_endpoint"),
        userinfo: by_hand("userinfo_endpoint"),
        revocation: by_hand("revocation_endpoint"),
        end_session: by_hand("end_session_endpoint"),
        jwks: by_hand("jwks_uri"),
        email: by_hand("email_endpoint"),
    };
    if with_issuer {
        refuse_written(section, "email_endpoint", "is for plain OAuth 2.0; here the address comes as a claim");
    } else {
        refuse_written(section, "jwks_uri", "is for ID tokens, which come only from a provider with an `issuer`");
        let required = ["authorization_endpoint", "token_endpoint", "userinfo_endpoint"];
        let written: Vec<_> = required.iter().filter(|name| section.setting(name).is_some()).collect();
        if written.is_empty() {
            section.missing("issuer", "write issuer = \"https://…\", or the endpoints by hand for plain OAuth 2.0");
        } else {
            for name in required.iter().filter(|name| !written.contains(name)) {
                section
                    .missing(name, "plain OAuth 2.0 needs this endpoint; with OpenID Connect write `issuer` instead");
            }
        }
    }
    let all = [&endpoints.authorization, &endpoints.token, &endpoints.userinfo];
    let plain_http = match &issuer {
        Some((_, url)) => url.scheme() == "http",
        None => all.into_iter().flatten().any(|url| url.scheme() == "http"),
    };
    // An issuer that was refused is an issuer all the same: this is not plain OAuth 2.0.
    let written = section.setting("issuer").map(|setting| setting.as_str().unwrap_or_default().to_owned());
    Source { issuer: written, endpoints, plain_http: plain_http && development }
}

fn refuse_written(section: &Section<'_>, name: &str, why: &str) {
    if let Some(setting) = section.setting(name) {
        setting.refuse(format!("`{}` {why}", setting.path()), "take it out");
    }
}

/// The issuer exactly as written, because it is compared as a string (OpenID Connect Discovery §4.3).
fn issuer(section: &Section<'_>, development: bool) -> Option<(String, Url)> {
    let setting = section.setting("issuer")?;
    let url = web_address::url(&setting, "\"https://id.example.com\"")?;
    if url.query().is_some() {
        setting.refuse(format!("`{}` has a query", setting.path()), "an issuer identifier has none");
        return None;
    }
    if url.scheme() == "http" && !(development && web_address::is_loopback(&url)) {
        let message = format!("`{}` is plain http: anybody on the way could take over every login", setting.path());
        setting.refuse(message, "write https; http is for development, with issuer and public_url on this machine");
        return None;
    }
    Some((setting.as_str()?.to_owned(), url))
}

fn endpoint(section: &Section<'_>, name: &str, issuer: Option<&(String, Url)>, development: bool) -> Option<Url> {
    let setting = section.setting(name)?;
    let url = web_address::url(&setting, "an https URL")?;
    let http_is_fine = development
        && web_address::is_loopback(&url)
        && issuer.is_none_or(|(_, issuer)| issuer.scheme() == "http" && web_address::is_loopback(issuer));
    if url.scheme() == "http" && !http_is_fine {
        let message = format!("`{}` is plain http: codes and tokens would travel in clear", setting.path());
        setting.refuse(message, "write https");
        return None;
    }
    let is_issuer_host = issuer.is_some_and(|(_, issuer)| issuer.host() == url.host());
    let development_peer = development && web_address::is_loopback(&url);
    if web_address::is_local_literal(&url) && !is_issuer_host && !development_peer {
        let message = format!("`{}` is an address of this machine, this link or a metadata service", setting.path());
        setting.refuse(message, "write the provider's own host");
        return None;
    }
    Some(url)
}
