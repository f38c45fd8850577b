//! Requests to a stage's gateway spelled out line by line, each on a connection of its own.

use url::Url;

use super::cookie_jar::Carriage;
use super::gateway::Stage;
use super::raw::{RawConnection, RawResponse};

/// What browsers say of a navigation.
pub const NAVIGATION: [&str; 2] = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];

/// What asks for a WebSocket, with the Origin of the stage.
pub const HANDSHAKE: [&str; 5] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Origin: https://app.example",
];

/// A head of these lines, with the stage's host.
pub fn head(request_line: &str, fields: &[&str]) -> String {
    head_for("app.example", request_line, fields)
}

/// A head of these lines.
pub fn head_for(host: &str, request_line: &str, fields: &[&str]) -> String {
    let mut head = format!("{request_line}\r\nHost: {host}\r\n");
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

impl Stage {
    /// A `Cookie` line with everything this stage's browser has for its gateway.
    pub fn cookie_line(&self) -> String {
        let carriage = Carriage { same_site: true, safe_navigation: true };
        let url = Url::parse(&self.url("/")).unwrap();
        format!("Cookie: {}", self.browser.jar().header(&url, carriage).unwrap())
    }

    pub async fn connect(&self) -> RawConnection {
        RawConnection::open(self.gateway.address).await
    }

    /// Sends `METHOD target` of HTTP/1.1 with these fields and gives the answer.
    pub async fn spelled(&self, request: &str, fields: &[&str]) -> RawResponse {
        let mut connection = self.connect().await;
        connection.send(head(&format!("{request} HTTP/1.1"), fields)).await;
        let response = match request.starts_with("HEAD ") {
            true => connection.response_to_head().await,
            false => connection.response().await,
        };
        response.unwrap_or_else(|| panic!("no answer to {request} {fields:?}"))
    }

    /// The same with bytes as they are: the status, or `None` when the connection is closed without an answer.
    pub async fn status_of_bytes(&self, bytes: impl AsRef<[u8]>) -> Option<u16> {
        super::raw::ask(self.gateway.address, bytes).await.map(|response| response.status)
    }
}
