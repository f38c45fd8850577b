//! `[provider]` and `[providers.NAME]`.

use std::time::Duration;

use crate::claims::ClaimsMapping;
use crate::origin::PublicUrl;
use crate::provider::settings::{CONCURRENT_CALLS, ClientAuthentication, EmailVerified, ProviderSettings};
use crate::secret::ClientSecret;

use super::authorization_parameters::authorization_parameters;
use super::certificates::ca_certificates;
use super::endpoints::{Source, source};
use super::keys::{CLAIMS, PROVIDER, PROVIDER_TIMEOUTS};
use super::open_issuers;
use super::secret_file::secret;
use super::section::Section;
use super::setting::Setting;

/// The refresh lease of the session store and everybody who waits for a refresh count on it.
const LONGEST_CALL: Duration = Duration::from_secs(10);
const LONGEST_LEEWAY: Duration = Duration::from_secs(600);
const LONGEST_NAME: usize = 32;

/// Reads every provider, in the order of the file.
pub(super) fn providers(root: &Section<'_>, public_url: Option<&PublicUrl>) -> Vec<ProviderSettings> {
    match (root.setting("provider"), root.setting("providers")) {
        (Some(single), None) => {
            single.section(&PROVIDER).map(|section| provider(&section, None, public_url)).into_iter().collect()
        }
        (None, Some(named)) => {
            let Some(members) = named.members("[providers.NAME]") else { return Vec::new() };
            if members.is_empty() {
                named.refuse("`providers` is empty", "write at least one [providers.NAME]");
            }
            members.into_iter().filter_map(|(name, setting)| named_provider(name, &setting, public_url)).collect()
        }
        (Some(single), Some(named)) => {
            // Both are read all the same, so that their own problems come out in one go.
            single.section(&PROVIDER).map(|section| provider(&section, None, public_url));
            for (name, setting) in named.members("[providers.NAME]").unwrap_or_default() {
                named_provider(name, &setting, public_url);
            }
            single.refuse("[provider] stands beside [providers.NAME]", "give it a name too: [providers.corp]");
            Vec::new()
        }
        (None, None) => {
            root.missing("provider", "write a [provider] section with issuer, client_id and client_secret");
            Vec::new()
        }
    }
}

fn named_provider(name: &str, setting: &Setting<'_>, public_url: Option<&PublicUrl>) -> Option<ProviderSettings> {
    let plain =
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'));
    if !plain || name.is_empty() || name.len() > LONGEST_NAME {
        let message = format!("`{}`: the name becomes part of the redirect URI", setting.path());
        setting.refuse(message, format!("use up to {LONGEST_NAME} of a-z, 0-9, - and _"));
    }
    Some(provider(&setting.section(&PROVIDER)?, Some(name.to_owned()), public_url))
}

fn provider(section: &Section<'_>, name: Option<String>, public_url: Option<&PublicUrl>) -> ProviderSettings {
    let Source { issuer, endpoints, plain_http } = source(section, public_url);
    refuse_unbuilt_protection(section);
    let (connect_timeout, total_timeout) = timeouts(section);
    ProviderSettings {
        name,
        scopes: scopes(section, issuer.is_some()),
        email_verified: email_verified(section, issuer.as_deref()),
        issuer,
        endpoints,
        client_id: client_id(section),
        client_authentication: client_authentication(section),
        authorization_parameters: authorization_parameters(section),
        claims: claims(section),
        clock_leeway: clock_leeway(section),
        connect_timeout,
        total_timeout,
        concurrent_calls: section.count("concurrent_calls", CONCURRENT_CALLS, 1_000),
        ca_certificates: ca_certificates(section),
        plain_http,
    }
}

fn client_id(section: &Section<'_>) -> String {
    let Some(setting) = section.setting("client_id") else {
        section.missing("client_id", "write the identifier under which the provider knows this gateway");
        return String::new();
    };
    let text = setting.string("the client identifier").unwrap_or_default();
    // RFC 6749 appendix A.1.
    if !text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        setting.refuse(format!("`{}` holds characters that no client identifier has", setting.path()), "");
    }
    text.to_owned()
}

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Basic,
    Post,
    None,
}

fn client_authentication(section: &Section<'_>) -> ClientAuthentication {
    let method =
        section.setting("client_authentication").map_or(Some(Method::Basic), |setting| match setting.as_str() {
            Some(planned @ ("private_key_jwt" | "tls_client_auth" | "self_signed_tls_client_auth")) => {
                setting.refuse_unbuilt(planned, "write \"client_secret_basic\", \"client_secret_post\" or \"none\"");
                None
            }
            _ => setting.choice(&[
                ("client_secret_basic", Method::Basic),
                ("client_secret_post", Method::Post),
                ("none", Method::None),
            ]),
        });
    let written = section.setting("client_secret");
    let client_secret = written.as_ref().and_then(secret).map(|text| ClientSecret::new(text.as_str().to_owned()));
    if method == Some(Method::None)
        && let Some(setting) = &written
    {
        setting.refuse(
            "a public client (client_authentication = \"none\") has no secret",
            "take out client_secret, or take out client_authentication",
        );
    }
    if written.is_none() && matches!(method, Some(Method::Basic | Method::Post)) {
        section.missing("client_secret", "write client_secret = { file = \"/path/to/it\" }");
    }
    match (method, client_secret) {
        (Some(Method::Basic), Some(secret)) => ClientAuthentication::SecretBasic(secret),
        (Some(Method::Post), Some(secret)) => ClientAuthentication::SecretPost(secret),
        _ => ClientAuthentication::None,
    }
}

fn scopes(section: &Section<'_>, has_issuer: bool) -> Vec<String> {
    let default: &[&str] = if has_issuer { &["openid", "profile", "email"] } else { &[] };
    let owned = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let Some(setting) = section.setting("scopes") else { return owned(default) };
    let example = "[\"openid\", \"profile\", \"email\"]";
    let Some(scopes) = super::scopes::scopes(&setting, example) else { return owned(default) };
    if has_issuer && !scopes.contains(&"openid") {
        let message = "`scopes` of a provider with an issuer must hold \"openid\": without it there is no ID token";
        setting.refuse(message, "add \"openid\"");
    }
    owned(&scopes)
}

fn claims(section: &Section<'_>) -> ClaimsMapping {
    let default = ClaimsMapping::default();
    let Some(section) = section.section("claims", &CLAIMS) else { return default };
    let path = |name: &str, default: String| match section.setting(name) {
        Some(setting) => setting.string("the name of a claim").map_or(default, str::to_owned),
        None => default,
    };
    ClaimsMapping {
        subject: path("subject", default.subject),
        username: path("username", default.username),
        groups: path("groups", default.groups),
        email: path("email", default.email),
    }
}

fn email_verified(section: &Section<'_>, issuer: Option<&str>) -> EmailVerified {
    let choices = [("claim", EmailVerified::Claim), ("trusted", EmailVerified::Trusted)];
    let chosen = section.choice("email_verified", EmailVerified::Claim, &choices);
    if chosen == EmailVerified::Trusted && issuer.is_some_and(open_issuers::is_open) {
        section.refuse_at(
            "email_verified",
            "at this provider anybody can make an account, with any address that the provider does not vouch for",
            "write \"claim\"",
        );
    }
    chosen
}

/// What protects tokens and requests is either on or refused, never silently absent.
fn refuse_unbuilt_protection(section: &Section<'_>) {
    for (name, what) in [("pushed_authorization", "pushed authorization"), ("dpop", "DPoP")] {
        let Some(setting) = section.setting(name) else { continue };
        match setting.as_str() {
            Some("auto" | "on" | "required") => setting.refuse_unbuilt(what, "write \"off\""),
            _ => {
                setting.choice(&[("off", ())]);
            }
        }
    }
}

fn clock_leeway(section: &Section<'_>) -> Duration {
    let leeway = section.duration_or_zero("clock_leeway", Duration::from_secs(60));
    if leeway > LONGEST_LEEWAY {
        let message = "`clock_leeway` is longer than ten minutes: tokens would be accepted long after their end";
        section.refuse_at("clock_leeway", message, "set the clocks, and write \"60s\"");
    }
    leeway
}

fn timeouts(section: &Section<'_>) -> (Duration, Duration) {
    let (connect, total) = (Duration::from_secs(3), LONGEST_CALL);
    let Some(section) = section.section("timeouts", &PROVIDER_TIMEOUTS) else { return (connect, total) };
    let total = section.duration("total", total);
    let connect = section.duration("connect", connect.min(total));
    if total > LONGEST_CALL {
        let message = "a call to the provider may take at most 10 seconds: whoever waits for a refresh waits 11";
        section.refuse_at("total", message, "write \"10s\" or less");
    }
    if connect > total {
        section.refuse_at("connect", "the time for a connection is longer than that for the whole call", "");
    }
    (connect, total)
}
