//! Issuers where anybody can make an account.
//!
//! Being logged in there says nothing about who may in, so that an upstream must say it.

use url::Url;

/// Hosts all of whose issuers are open.
const HOSTS: &[&str] = &[
    "access.line.me",
    "accounts.google.com",
    "accounts.spotify.com",
    "api.amazon.com",
    "api.login.yahoo.com",
    "appleid.apple.com",
    "auth.atlassian.com",
    "bitbucket.org",
    "codeberg.org",
    "discord.com",
    "facebook.com",
    "github.com",
    "gitlab.com",
    "google.com",
    "huggingface.co",
    "id.atlassian.com",
    "id.twitch.tv",
    "id.vk.com",
    "kauth.kakao.com",
    "limited.facebook.com",
    "linkedin.com",
    "login.live.com",
    "login.salesforce.com",
    "login.yahoo.co.jp",
    "login.yahoo.com",
    "m.facebook.com",
    "nid.naver.com",
    "oauth.telegram.org",
    "oauth.yandex.com",
    "oauth.yandex.ru",
    "orcid.org",
    "paypal.com",
    "securetoken.google.com",
    "slack.com",
    "token.actions.githubusercontent.com",
    "twitter.com",
    "www.amazon.com",
    "www.dropbox.com",
    "www.facebook.com",
    "www.linkedin.com",
    "www.paypal.com",
    "www.reddit.com",
    "x.com",
    "zoom.us",
];

const MICROSOFT_HOSTS: &[&str] = &[
    "login.chinacloudapi.cn",
    "login.microsoft.com",
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "login.windows.net",
    "sts.windows.net",
];

/// Tenants of Entra ID that are not one organisation; the last is that of personal accounts.
const MICROSOFT_TENANTS: &[&str] = &["common", "organizations", "consumers", "9188040d-6c67-4c5b-b112-36a304b66dad"];

/// Whether anybody can make an account at this issuer.
pub(super) fn is_open(issuer: &str) -> bool {
    let Ok(url) = Url::parse(issuer) else { return false };
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_end_matches('.');
    if MICROSOFT_HOSTS.contains(&host) {
        let tenant = url.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
        return tenant.is_empty() || MICROSOFT_TENANTS.contains(&tenant.to_ascii_lowercase().as_str());
    }
    HOSTS.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cf_17_issuers_where_anybody_can_make_an_account() {
        for open in [
            "https://accounts.google.com",
            "https://ACCOUNTS.google.com/",
            "https://accounts.google.com:443",
            "https://accounts.google.com.",
            "https://gitlab.com",
            "https://appleid.apple.com",
            "https://www.facebook.com",
            "https://login.microsoftonline.com/common/v2.0",
            "https://login.microsoftonline.com/Organizations/v2.0",
            "https://login.microsoftonline.com/consumers/v2.0",
            "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
            "https://login.microsoftonline.us/common/v2.0",
            "https://login.partner.microsoftonline.cn/organizations/v2.0",
            "https://login.chinacloudapi.cn/consumers",
            "https://securetoken.google.com/some-project",
            "https://token.actions.githubusercontent.com",
            "https://id.twitch.tv/oauth2",
            "https://www.linkedin.com/oauth",
        ] {
            assert!(is_open(open), "{open}");
        }
        for closed in [
            "https://id.example.com/realms/corp",
            "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
            "https://login.microsoftonline.us/11111111-2222-3333-4444-555555555555/v2.0",
            "https://gitlab.example.com",
            "https://accounts.google.com.example.com",
            "https://corp.okta.com",
        ] {
            assert!(!is_open(closed), "{closed}");
        }
    }

    #[test]
    fn the_list_is_in_order() {
        assert!(HOSTS.is_sorted());
    }
}
