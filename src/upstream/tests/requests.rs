//! What an application gets to see.

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn seen(request: &str) -> String {
    exchange(|_| {}, request, OK, "ok").await.0
}

fn field<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

#[tokio::test]
async fn hd_03_hd_13_identity_is_ours_alone() {
    let head = seen(
        "GET /a HTTP/1.1\r\nHost: wiki.example.com\r\nX-AUTH-user: root\r\nX_Auth_User: root\r\nx-auth-user: root\r\n\
         X-Auth-Email: root@example.com\r\nAuthorization: Bearer evil\r\nX-Forwarded-For: 10.0.0.1\r\nProxy: evil\r\n\
         X-Forwarded-Host: evil.example\r\nForwarded: for=10.0.0.1\r\nAccept: text/html\r\n\r\n",
    )
    .await;
    assert_eq!(field(&head, "x-auth-user"), ["alice"]);
    assert_eq!(field(&head, "authorization"), ["Bearer at-1"]);
    assert_eq!(field(&head, "x-forwarded-for"), ["192.0.2.7"]);
    assert_eq!(field(&head, "x-forwarded-host"), ["wiki.example.com"]);
    assert_eq!(field(&head, "forwarded"), ["for=192.0.2.7;host=wiki.example.com;proto=https"]);
    assert_eq!(field(&head, "x-request-id"), ["r-1"]);
    assert!(!head.contains("root") && !head.contains("evil"), "{head}");
    // HD-08: no address at the provider, no address at the application.
    assert!(field(&head, "x-auth-email").is_empty());
    assert_eq!(field(&head, "accept"), ["text/html"]);
}

#[tokio::test]
async fn hd_06_connection_cannot_take_our_headers_off() {
    let head = seen(
        "GET /a HTTP/1.1\r\nHost: wiki.example.com\r\nX-Hop: 1\r\nConnection: x-auth-user, Authorization, x-hop, host\r\n\
         Connection: X-FORWARDED-FOR, via\r\n\r\n",
    )
    .await;
    assert_eq!(field(&head, "x-auth-user"), ["alice"]);
    assert_eq!(field(&head, "authorization"), ["Bearer at-1"]);
    assert_eq!(field(&head, "x-forwarded-for"), ["192.0.2.7"]);
    assert_eq!(field(&head, "host"), ["wiki.example.com"]);
    assert!(field(&head, "x-hop").is_empty() && field(&head, "connection").is_empty());
}

#[tokio::test]
async fn hd_09_requests_without_identity_are_stripped_all_the_same() {
    for method in ["GET", "OPTIONS", "HEAD", "DELETE"] {
        let (listener, address) = application().await;
        let upstream = upstream(&settings(address));
        let mut gateway = gateway(&upstream, Visitor::default()).await;
        let request = format!(
            "{method} /public HTTP/1.1\r\nHost: wiki.example.com\r\nAuthorization: Bearer x\r\nX-Auth-User: root\r\n\
             Cookie: a=b; __Host-Http-vestibule=secret; c=\"d\"\r\n\r\n"
        );
        send(&mut gateway.browser, &request).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        assert!(field(&head, "authorization").is_empty() && field(&head, "x-auth-user").is_empty(), "{head}");
        assert_eq!(field(&head, "cookie"), ["a=b; c=\"d\""]);
    }
}

#[tokio::test]
async fn the_target_goes_on_byte_for_byte() {
    let head = seen("GET /a%20b/~c?q=%7e&x=/../%zz HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
    assert!(head.starts_with("GET /a%20b/~c?q=%7e&x=/../%zz HTTP/1.1\r\n"), "{head}");
    let head = seen("GET http://wiki.example.com/abs?q HTTP/1.0\r\nHost: WIKI.example.com:443\r\n\r\n").await;
    assert!(head.starts_with("GET /abs?q HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "host"), ["wiki.example.com"]);
}

#[tokio::test]
async fn header_case_is_kept() {
    let head = seen("GET / HTTP/1.1\r\nHost: wiki.example.com\r\nX-CamelCase: 1\r\n\r\n").await;
    assert!(head.contains("X-CamelCase: 1\r\n"), "{head}");
}

#[tokio::test]
async fn a_prefix_is_stripped_and_told() {
    let strip = |settings: &mut UpstreamSettings| {
        settings.strip_prefix = Some("/wiki".into());
        settings.pass_host = false;
    };
    let answer = "HTTP/1.1 302 Found\r\nlocation: /login\r\nset-cookie: a=b; Path=/\r\ncontent-length: 0\r\n\r\n";
    let request = "GET /wiki/page?a=/wiki HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n";
    let (head, answer) = exchange(strip, request, answer, "\r\n\r\n").await;
    assert!(head.starts_with("GET /page?a=/wiki HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "x-forwarded-prefix"), ["/wiki"]);
    assert_eq!(field(&head, "x-forwarded-host"), ["wiki.example.com"]);
    assert!(field(&head, "host")[0].starts_with("127.0.0.1:"), "{head}");
    assert_eq!(field(&answer, "location"), ["/wiki/login"]);
    assert_eq!(field(&answer, "set-cookie"), ["a=b; Path=/wiki"]);
}

#[tokio::test]
async fn equal_lengths_become_one_and_a_get_keeps_its_body() {
    let head =
        seen("POST / HTTP/1.1\r\nHost: wiki.example.com\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi").await;
    assert_eq!(field(&head, "content-length"), ["2"]);
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(
        &mut gateway.browser,
        "GET /search HTTP/1.1\r\nHost: wiki.example.com\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    )
    .await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let head = read_head(&mut stream).await;
    assert_eq!(field(&head, "transfer-encoding"), ["chunked"]);
    assert_eq!(read_until(&mut stream, "0\r\n\r\n").await, "2\r\nhi\r\n0\r\n\r\n");
}

#[tokio::test]
async fn hd_18_hd_16_trailers_are_asked_for_and_managed_names_among_them_dropped() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(
        &mut gateway.browser,
        "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nTE: trailers, gzip\r\nConnection: te\r\n\
         Trailer: x-sum, x-auth-user, X_Auth_User\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nx-sum: 7\r\nx-auth-user: root\r\nX_Auth_User: root\r\n\r\n",
    )
    .await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let head = read_head(&mut stream).await;
    assert_eq!(field(&head, "te"), ["trailers"]);
    let body = read_until(&mut stream, "\r\n\r\n").await;
    assert!(body.contains("x-sum: 7") && !body.contains("root"), "{body}");
}

#[tokio::test]
async fn hd_20_a_request_that_has_been_here_is_refused() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut first = gateway(&upstream, Visitor::alice()).await;
    send(&mut first.browser, "GET / HTTP/1.1\r\nHost: wiki.example.com\r\nVia: 1.1 ingress\r\n\r\n").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let head = read_head(&mut stream).await;
    let ours = field(&head, "via")[1].to_owned();
    let mut again = gateway(&upstream, Visitor::alice()).await;
    let request = format!("GET / HTTP/1.1\r\nHost: wiki.example.com\r\nVia: {ours}\r\n\r\n");
    send(&mut again.browser, &request).await;
    assert!(matches!(again.errors.recv().await, Some(UpstreamError::Loop)));
}

#[tokio::test]
async fn hd_11_a_claim_that_is_no_header_ends_the_request() {
    let (_listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut visitor = Visitor::alice();
    visitor.identity.as_mut().unwrap().username = Some("alice\r\nx-admin: 1".into());
    let mut gateway = gateway(&upstream, visitor).await;
    send(&mut gateway.browser, "GET / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
    let error = gateway.errors.recv().await.unwrap();
    assert!(matches!(&error, UpstreamError::ClaimNotAHeader { header, .. } if header == "x-auth-user"));
    assert!(!format!("{error:?}").contains("alice"));
}
