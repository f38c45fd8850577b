//! A proxy that asks for decisions, and a stage with an upstream that is only asked about.

use super::gateway::{Gateway, Stage};
use super::raw::{self, RawResponse};
use super::spelled_out::head_for;

pub const NGINX: [&str; 2] = ["X-Original-Method: GET", "X-Original-URI: /wiki/page?x=1"];
pub const TRAEFIK: [&str; 2] = ["X-Forwarded-Method: GET", "X-Forwarded-Uri: /wiki/page?x=1"];
pub const SECTION: &str = "[[upstream]]\nname = \"wiki\"\npath = \"/wiki\"\nforward_auth = true\n\
                       public = [\"GET /wiki/public/**\"]\napi = [\"/wiki/api/**\"]\n\
                       access = { claim = \"groups\", contains = \"admins\" }\n\
                       [upstream.headers]\nx-forwarded-user = \"{claims.username}\"\nx-team = \"{claims.department}\"";

pub async fn stage() -> Stage {
    Stage::with(|setup| {
        setup.listen = "trusted_proxies = [\"127.0.0.1\"]".to_owned();
        setup.upstream = "[upstream.headers]\nx-auth-email = \"{claims.email}\"".to_owned();
        setup.more = SECTION.to_owned();
    })
    .await
}

/// Asks as a proxy would whose own name for the gateway is another one.
pub async fn ask(gateway: &Gateway, request: &str, fields: &[&str]) -> RawResponse {
    let fields = with(&["X-Forwarded-Host: app.example"], fields);
    let head = head_for("vestibule.internal:8080", &format!("{request} HTTP/1.1"), &fields);
    raw::ask(gateway.address, head).await.unwrap_or_else(|| panic!("no answer to {request} {fields:?}"))
}

pub fn with<'a>(one: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    one.iter().chain(more).copied().collect()
}
