//! A real login over HTTP: to the gateway, to the provider's form, back, and out with the session cookie.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Logs alice in, and gives the session cookie as it stands in `Cookie`.
pub async fn log_in(gateway: SocketAddr, provider: SocketAddr) -> String {
    let host = format!("localhost:{}", gateway.port());
    let (mut location, mut headers) = (String::new(), HeaderMap::new());
    // The provider's metadata may still be on its way.
    for _ in 0..200 {
        let (status, answered) = ask(gateway, &host, Method::GET, "/page", "", "").await;
        if status == StatusCode::SEE_OTHER || status == StatusCode::FOUND {
            location = text(&answered, header::LOCATION);
            headers = answered;
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let login_cookie = cookie(&headers, "-login=");
    let to_provider: Uri = location.parse().expect("the gateway sends the browser to the provider");
    let form = format!("/login?{}", to_provider.query().unwrap());
    let (_, headers) = ask(provider, &provider.to_string(), Method::POST, &form, "", "account=alice").await;
    let back: Uri = text(&headers, header::LOCATION).parse().expect("the provider sends the browser back");
    let callback = back.path_and_query().unwrap().as_str();
    let (status, headers) = ask(gateway, &host, Method::GET, callback, &login_cookie, "").await;
    assert!(status.is_redirection(), "the callback answers {status}");
    cookie(&headers, &format!("vestibule-dev-{}=", gateway.port()))
}

async fn ask(
    address: SocketAddr,
    host: &str,
    method: Method,
    target: &str,
    cookie: &str,
    form: &'static str,
) -> (StatusCode, HeaderMap) {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, host)
        .header(header::ACCEPT, "text/html")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document");
    if !cookie.is_empty() {
        request = request.header(header::COOKIE, cookie);
    }
    if !form.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let request = request.body(Full::new(Bytes::from_static(form.as_bytes()))).unwrap();
    let response = sender.send_request(request).await.unwrap();
    (response.status(), response.headers().clone())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// The cookie that an answer sets under a name that holds `part`.
fn cookie(headers: &HeaderMap, part: &str) -> String {
    let set = headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    let found = set.filter_map(|line| line.split(';').next()).find(|pair| pair.contains(part));
    found.unwrap_or_else(|| panic!("no cookie {part} in {headers:?}")).to_owned()
}
