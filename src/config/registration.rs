//! What an operator registers at each provider.

use crate::gateway::settings::Settings;
use crate::origin::Host;

/// The URIs of one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The provider as logs call it.
    pub provider: String,
    /// The client identifier they belong to.
    pub client_id: String,
    /// Redirect URIs (RFC 6749 §3.1.2), one for each host.
    pub redirect_uris: Vec<String>,
    /// Post-logout redirect URIs (OpenID Connect RP-Initiated Logout §3.1); none for plain OAuth 2.0.
    pub post_logout_redirect_uris: Vec<String>,
    /// Back-channel logout URIs (OpenID Connect Back-Channel Logout §2.2), any one of which is enough; none for plain
    /// OAuth 2.0.
    pub back_channel_logout_uris: Vec<String>,
    /// Front-channel logout URIs (OpenID Connect Front-Channel Logout §2), any one of which is enough.
    pub front_channel_logout_uris: Vec<String>,
}

/// What is to be registered at every provider that has an upstream.
#[must_use]
pub fn registrations(settings: &Settings) -> Vec<Registration> {
    let mut registrations = Vec::new();
    for (index, provider) in settings.providers.iter().enumerate() {
        let mut hosts = Vec::new();
        for route in settings.routes.iter().filter(|route| route.provider == index) {
            if !hosts.contains(&&route.host) {
                hosts.push(&route.host);
            }
        }
        if hosts.is_empty() {
            continue;
        }
        let with_logout = provider.issuer.is_some() || provider.endpoints.end_session.is_some();
        let post_logout = hosts.iter().filter(|_| with_logout).map(|host| settings.post_logout_redirect_uri(host));
        let told = |uri: fn(&Settings, &Host) -> String| {
            let hosts = hosts.iter().filter(|_| provider.issuer.is_some());
            hosts.map(|host| uri(settings, host)).collect()
        };
        registrations.push(Registration {
            provider: provider.label().to_owned(),
            client_id: provider.client_id.clone(),
            redirect_uris: hosts.iter().map(|host| settings.redirect_uri(host, provider)).collect(),
            post_logout_redirect_uris: post_logout.collect(),
            back_channel_logout_uris: told(Settings::back_channel_logout_uri),
            front_channel_logout_uris: told(Settings::front_channel_logout_uri),
        });
    }
    registrations
}
