//! The gateway's own endpoints, one file each.

mod backchannel_logout;
mod callback;
mod frontchannel_logout;
mod jwks;
mod login;
mod own_session;
mod own_sessions;
mod sign_out;
mod signed_out;
mod start;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response};

use super::Gateway;
use super::code::Code;
use super::ingress::{Inbound, Ingress};
use super::refusal::Refusal;

pub(super) use login::{begin as begin_login, begin_step_up};

/// What an endpoint answers with.
pub(super) type Answer = Result<Response<Bytes>, Refusal>;

const BACK_CHANNEL_LOGOUT: &str = "/backchannel-logout";
const FRONT_CHANNEL_LOGOUT: &str = "/frontchannel-logout";

/// Whether a provider calls this endpoint by itself, without a browser.
pub(super) fn is_back_channel(rest: &str) -> bool {
    rest == BACK_CHANNEL_LOGOUT
}

/// The methods of an endpoint (RFC 9110 §10.2.1).
pub(super) fn allowed(rest: &str) -> &'static [Method] {
    match rest {
        "/sign_out" | "/logout" | "/sessions" => &[Method::GET, Method::HEAD, Method::POST],
        "/session/refresh" | BACK_CHANNEL_LOGOUT => &[Method::POST],
        // Whatever reads ahead by HEAD must not end a session.
        FRONT_CHANNEL_LOGOUT => &[Method::GET],
        // A scanner that repeats an address by HEAD must not spend the code in it.
        _ if rest == "/callback" || rest.starts_with("/callback/") => &[Method::GET],
        _ => &[Method::GET, Method::HEAD],
    }
}

/// Finds the endpoint behind the rest of a path after the prefix.
pub(super) async fn serve(gateway: &Arc<Gateway>, ingress: &Ingress, inbound: Inbound, rest: &str) -> Answer {
    let headers = &inbound.parts.headers;
    let known = matches!(
        rest,
        "/start"
            | "/sign_in"
            | "/login"
            | "/sign_out"
            | "/logout"
            | "/signed_out"
            | "/userinfo"
            | "/session"
            | "/session/refresh"
            | "/sessions"
            | "/callback"
            | "/jwks.json"
            | BACK_CHANNEL_LOGOUT
            | FRONT_CHANNEL_LOGOUT
    ) || rest.starts_with("/callback/");
    if !known {
        return Err(Refusal::of(Code::NotFound));
    }
    if !allowed(rest).contains(&ingress.method) {
        return Err(Refusal::of(Code::MethodNotAllowed).with_detail("method"));
    }
    match rest {
        "/start" | "/sign_in" | "/login" => start::start(gateway, ingress, headers).await,
        "/sign_out" | "/logout" => sign_out::sign_out(gateway, ingress, inbound).await,
        "/signed_out" => signed_out::signed_out(gateway, ingress),
        "/jwks.json" => Ok(jwks::jwks(gateway)),
        BACK_CHANNEL_LOGOUT => backchannel_logout::backchannel_logout(gateway, ingress, inbound).await,
        FRONT_CHANNEL_LOGOUT => frontchannel_logout::frontchannel_logout(gateway, ingress).await,
        "/userinfo" => own_session::userinfo(gateway, ingress, headers).await,
        "/session" => own_session::times(gateway, ingress, headers).await,
        "/sessions" => own_sessions::own_sessions(gateway, ingress, inbound).await,
        "/session/refresh" => own_session::refresh(gateway, ingress, headers).await,
        _ => callback::callback(gateway, ingress, headers, rest.strip_prefix("/callback/")).await,
    }
}
