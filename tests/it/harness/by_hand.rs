//! Requests to the gateway written by hand, with cookies and headers that no browser would send.

use super::browser::Browser;
use super::gateway::Gateway;
use super::raw::{self, RawResponse};

/// The names of the two cookies on an https public URL without a path.
pub const SESSION: &str = "__Host-Http-vestibule";
pub const LOGIN: &str = "__Host-Http-vestibule-login";

/// What a browser says when a person opens a page.
pub const NAVIGATION: [(&str, &str); 2] = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];

/// The value of this browser's session cookie.
pub fn session_cookie(browser: &Browser) -> String {
    cookie(browser, SESSION).expect("this browser has no session cookie")
}

/// The value of a cookie of this browser for the usual host.
pub fn cookie(browser: &Browser, name: &str) -> Option<String> {
    browser.jar().find("app.example", name).map(|cookie| cookie.value.clone())
}

/// The `Cookie` header that shows `value` as the session.
pub fn pair(value: &str) -> String {
    format!("{SESSION}={value}")
}

/// Sends a request without a body to the gateway's own host.
pub async fn send(gateway: &Gateway, method: &str, target: &str, headers: &[(&str, &str)]) -> RawResponse {
    let host = gateway.public_url.split_once("://").unwrap().1;
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}{length}\r\n");
    let answer = if method == "HEAD" {
        let mut connection = raw::RawConnection::open(gateway.address).await;
        connection.send(request).await;
        connection.response_to_head().await
    } else {
        raw::ask(gateway.address, request).await
    };
    answer.unwrap_or_else(|| panic!("no answer to {method} {target}"))
}

/// Posts a form to a host of the gateway's, as a server would: without anything of a browser but these headers.
pub async fn post_form(
    gateway: &Gateway,
    host: &str,
    target: &str,
    form: &str,
    headers: &[(&str, &str)],
) -> RawResponse {
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = form.len();
    let request = format!("POST {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {length}\r\n\r\n{form}");
    raw::ask(gateway.address, request).await.unwrap_or_else(|| panic!("no answer to {target}"))
}

/// A provider posts a logout token to the usual host.
pub async fn post_logout_token(gateway: &Gateway, token: &str) -> RawResponse {
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    post_form(gateway, "app.example", "/oauth2/backchannel-logout", &format!("logout_token={token}"), &form).await
}

/// A program asks, with this as its `Cookie` header.
pub async fn program(gateway: &Gateway, target: &str, cookies: &str) -> RawResponse {
    send(gateway, "GET", target, &[("Cookie", cookies)]).await
}

/// A person opens a page, with this as the `Cookie` header.
pub async fn navigation(gateway: &Gateway, target: &str, cookies: &str) -> RawResponse {
    let [mode, destination] = NAVIGATION;
    send(gateway, "GET", target, &[mode, destination, ("Cookie", cookies)]).await
}

/// Status, headers and body without what differs from answer to answer.
pub fn comparable(answer: &RawResponse) -> (u16, Vec<(String, String)>, String) {
    let id = answer.header("x-request-id").unwrap().to_owned();
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| name != "date" && name != "x-request-id");
    for (name, value) in &mut headers {
        if name == "location" {
            value.truncate(value.find('?').unwrap_or(value.len()));
        }
        if name == "set-cookie" {
            let (cookie, attributes) = value.split_once(';').unwrap();
            *value = format!("{}=…;{attributes}", cookie.split_once('=').unwrap().0);
        }
    }
    (answer.status, headers, answer.text().replace(&id, "ID"))
}
