//! The provider's pages: the login form, the question before a logout, and plain messages.

use askama::Template;
use http::StatusCode;

use super::answer::Answer;
use super::settings::Account;
use crate::demo::page;

#[derive(Template)]
#[template(path = "demo/pages/login.html")]
struct LoginPage<'a> {
    style: &'static str,
    client_id: &'a str,
    accounts: &'a [Account],
    action: &'a str,
    username: &'a str,
    wrong: bool,
}

/// The login form; `query` is the authorization request, which goes on with the form.
pub(super) fn login(accounts: &[Account], client_id: &str, query: &str, username: &str, wrong: bool) -> Answer {
    let action = format!("{}?{query}", super::metadata::LOGIN);
    let rendered = LoginPage { style: page::STYLE, client_id, accounts, action: &action, username, wrong }.render();
    page::answer(if wrong { StatusCode::BAD_REQUEST } else { StatusCode::OK }, rendered, None)
}

#[derive(Template)]
#[template(path = "demo/pages/confirm_logout.html")]
struct ConfirmLogoutPage<'a> {
    style: &'static str,
    fields: &'a [(&'a str, &'a str)],
    action: &'static str,
}

pub(super) fn confirm_logout(fields: &[(&str, &str)]) -> Answer {
    let rendered = ConfirmLogoutPage { style: page::STYLE, fields, action: super::metadata::END_SESSION }.render();
    page::answer(StatusCode::OK, rendered, None)
}

#[derive(Template)]
#[template(path = "demo/pages/message.html")]
struct MessagePage<'a> {
    style: &'static str,
    title: &'a str,
    message: &'a str,
}

fn message(status: StatusCode, title: &str, message: &str) -> Answer {
    page::answer(status, MessagePage { style: page::STYLE, title, message }.render(), None)
}

pub(super) fn start() -> Answer {
    message(
        StatusCode::OK,
        "Development identity provider",
        "This provider logs made-up people in. Open the gateway; it leads here when it needs somebody to log in.",
    )
}

pub(super) fn logged_out() -> Answer {
    message(StatusCode::OK, "Logged out", "The provider has forgotten this browser.")
}

pub(super) fn refused(reason: &str) -> Answer {
    message(StatusCode::BAD_REQUEST, "This request cannot be followed", reason)
}

pub(super) fn not_found() -> Answer {
    message(StatusCode::NOT_FOUND, "Nothing here", "The provider has no such page.")
}

pub(super) fn unavailable() -> Answer {
    message(StatusCode::SERVICE_UNAVAILABLE, "Not now", "The system has no randomness to offer. Try again.")
}
