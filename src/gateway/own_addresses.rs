//! Our own addresses: where browsers are sent, and where they come back to.

use super::Gateway;
use super::cross_site;
use super::ingress::Ingress;
use super::route::Routed;
use crate::origin::Host;
use crate::provider::settings::ProviderSettings;
use crate::return_to::{OWN_SESSIONS, ReturnTo};
use crate::telemetry::audit::AuditEvent;

impl Gateway {
    /// A checked return path; the start page when there is none or it breaks a rule.
    pub(super) fn return_to(&self, input: Option<&str>, host: &Host) -> ReturnTo {
        let Some(input) = input.filter(|input| !input.is_empty()) else { return ReturnTo::home(&self.public_url) };
        ReturnTo::parse(input, &self.public_url, host, self.routes.endpoints()).unwrap_or_else(|rule| {
            self.audit(None, &AuditEvent::ReturnUrlRejected { rule: rule.as_str() });
            ReturnTo::home(&self.public_url)
        })
    }

    /// Where a login begun by this request comes back to.
    pub(super) fn return_to_here(&self, ingress: &Ingress) -> ReturnTo {
        if !cross_site::is_unsafe(&ingress.method) {
            if !ingress.path.is_under(self.routes.endpoints()) {
                return self.return_to(Some(&ingress.path_and_query()), &ingress.host);
            }
            let own_sessions = self.endpoint(OWN_SESSIONS);
            if ingress.path.as_str() == own_sessions {
                return self.return_to(Some(&own_sessions), &ingress.host);
            }
        }
        match self.routes.route(ingress) {
            // What was posted cannot be opened; the application it was for can.
            Routed::Upstream(route) => self.return_to(Some(&route.settings.path), &ingress.host),
            _ => ReturnTo::home(&self.public_url),
        }
    }

    /// The full path of one of our endpoints.
    pub(super) fn endpoint(&self, name: &str) -> String {
        format!("{}{name}", self.routes.endpoints())
    }

    pub(super) fn redirect_uri(&self, host: &Host, provider: &ProviderSettings) -> String {
        let name = provider.name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        format!("{}{}{name}", self.public_url.origin_of(host), self.endpoint("/callback"))
    }

    pub(super) fn post_logout_redirect_uri(&self, host: &Host) -> String {
        format!("{}{}", self.public_url.origin_of(host), self.endpoint("/signed_out"))
    }
}
