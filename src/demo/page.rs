//! Pages for people: what every HTML answer of the demonstration has in common.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use sha2::{Digest, Sha256};

/// The style sheet that all pages share, put into each of them.
pub const STYLE: &str = include_str!("pages/style.css");

/// Builds the answer that carries `rendered`; `script` is the one inline script of the page, if it has any.
///
/// A template that cannot be rendered is a fault of this program: 500, without a word of the error.
#[must_use]
pub fn answer(
    status: StatusCode,
    rendered: Result<String, askama::Error>,
    script: Option<&str>,
) -> Response<Full<Bytes>> {
    let (status, html) = match rendered {
        Ok(html) => (status, html),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(html)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, policy(script));
    response
}

/// The content security policy. It has no `form-action`: Chromium applies that to redirects too, and the login form
/// is answered by a redirect to the gateway.
fn policy(script: Option<&str>) -> HeaderValue {
    let style = hash(STYLE);
    let script = match script {
        Some(script) => format!(" script-src {}; connect-src 'self';", hash(script)),
        None => String::new(),
    };
    let text = format!(
        "default-src 'none'; style-src {style};{script} img-src data:; base-uri 'none'; frame-ancestors 'none'"
    );
    // The text is made of constants and base64; the fallback forbids everything.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

fn hash(inline: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(inline.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_s_own_style_and_script_may_run() {
        let response = answer(StatusCode::OK, Ok("<p>".into()), Some("alert(1)"));
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(policy.contains("script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"), "{policy}");
        let without = answer(StatusCode::OK, Ok(String::new()), None);
        assert!(!without.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("script-src"));
    }

    #[test]
    fn a_page_that_cannot_be_rendered_says_nothing() {
        let response = answer(StatusCode::OK, Err(askama::Error::Fmt), None);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
