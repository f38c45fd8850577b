//! What a request looked like when it arrived.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue, Request};
use serde_json::{Value, json};

/// Method, target and headers of a request, fit to be shown.
pub(super) struct Received {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Received {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let mut headers: Vec<_> =
            request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), shown(name, value))).collect();
        // A stable sort: fields of one name stay in the order in which they came.
        headers.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self { method: request.method().to_string(), target: request.uri().to_string(), headers }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "method": self.method, "target": self.target, "headers": self.headers })
    }
}

/// The value as text. What could be used by whoever reads it in the browser is cut: the gateway keeps tokens away from
/// there, and this page must not hand them back.
fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    if name == AUTHORIZATION {
        return match text.split_once(' ') {
            Some((scheme, credentials)) => format!("{scheme} ({} characters, not shown here)", credentials.len()),
            None => format!("({} characters, not shown here)", text.len()),
        };
    }
    if name == COOKIE || !looks_like_token(&text) {
        return text.into_owned();
    }
    format!("({} characters that look like a token, not shown here)", text.len())
}

/// A JSON web token begins with `{"` in base64url and has three parts.
fn looks_like_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.matches('.').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_sorted_and_tokens_are_not_given_back() {
        let request = Request::builder()
            .uri("/a?b=c")
            .header("x-forwarded-user", "alice")
            .header("authorization", "Bearer eyJh.eyJz.c2ln")
            .header("x-forwarded-access-token", "eyJh.eyJz.c2ln")
            .header("cookie", "theme=dark")
            .body(())
            .unwrap();
        let received = Received::of(&request);
        let text = received.to_json().to_string();
        assert!(!text.contains("eyJ"), "{text}");
        let names: Vec<_> = received.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["authorization", "cookie", "x-forwarded-access-token", "x-forwarded-user"]);
        assert_eq!(received.to_json()["headers"][3], json!(["x-forwarded-user", "alice"]));
        assert_eq!(received.to_json()["target"], "/a?b=c");
    }
}
