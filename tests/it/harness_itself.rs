//! The actors do what they say: what is wrong with them would be wrong with every test.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use vestibule::clock::SystemClock;

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::browser::{Asked, Browser, Kind};
use crate::harness::html;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::raw::{self, RawConnection};
use crate::harness::signing::{TestKey, parts};
use crate::harness::upstream::RecordingUpstream;

const METADATA: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn the_upstream_records_bytes_order_and_case() {
    let upstream = RecordingUpstream::start().await;
    let request = "POST /a%2Fb?c HTTP/1.1\r\nhOsT: x\r\nB: 1\r\nA: 2\r\nb: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nSum: 1\r\n\r\n";
    let answer = raw::ask(upstream.address(), request).await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "upstream"));
    let seen = upstream.last();
    assert_eq!((seen.target.as_str(), seen.text().as_str(), seen.trailer("sum")), ("/a%2Fb?c", "abcde", Some("1")));
    assert_eq!(seen.headers[0], ("hOsT".into(), "x".into()));
    assert_eq!(seen.all("b"), ["1", "3"]);
    assert!(seen.complete && seen.head.starts_with(b"POST /a%2Fb?c HTTP/1.1\r\nhOsT: x\r\n"));
    assert_eq!((upstream.hits(), upstream.connections().value()), (1, 1));
}

#[tokio::test]
async fn the_upstream_notices_a_body_that_breaks_off() {
    let upstream = RecordingUpstream::start().await;
    let mut connection = RawConnection::open(upstream.address()).await;
    connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab").await;
    upstream.hits_reach(1).await;
    drop(connection);
    upstream.requests_reach(1).await;
    assert!(!upstream.last().complete);
    assert_eq!(upstream.last().body, b"ab");
}

#[tokio::test]
async fn the_upstream_answers_as_told() {
    let upstream = RecordingUpstream::start().await;
    let address = upstream.address();
    let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    upstream.answer_once(Behaviour::Raw(b"nonsense".to_vec()));
    assert_eq!(raw::exchange(address, get).await, b"nonsense");
    upstream.answer_once(Behaviour::Close);
    assert!(raw::exchange(address, get).await.is_empty());
    let trailers = vec![("sum".to_owned(), "1".to_owned())];
    let head = http::Response::builder().header("trailer", "sum").body(()).unwrap();
    upstream.answer_once(Behaviour::Chunks(head, vec![Bytes::from("a"), Bytes::from("b")], trailers));
    assert_eq!(raw::ask(address, get).await.unwrap().text(), "ab");
    let early = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    upstream.answer_at_head(|_| Some(Behaviour::status(413)));
    assert_eq!(raw::ask(address, early).await.unwrap().status, 413);
    assert_eq!(upstream.hits(), 4);
}

#[tokio::test]
async fn an_answer_can_be_held_and_a_stream_sees_its_reader_go() {
    let upstream = RecordingUpstream::start().await;
    let (opener, gate) = gate();
    upstream.answer_once(Behaviour::text(200, "at last").held(gate));
    let mut connection = RawConnection::open(upstream.address()).await;
    connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    upstream.hits_reach(1).await;
    opener.open();
    assert_eq!(connection.response().await.unwrap().text(), "at last");

    let (sender, stream) = Behaviour::events();
    upstream.answer_once(stream);
    connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(connection.response_head().await.unwrap().header("content-type"), Some("text/event-stream"));
    sender.send(Bytes::from("data: 1\n\n")).await.unwrap();
    connection.until(b"data: 1\n\n").await;
    drop(connection);
    crate::harness::patiently("the stream to notice", sender.closed()).await;
}

#[tokio::test]
async fn the_provider_can_be_replaced_altered_and_restored() {
    let provider = TestProvider::start().await;
    let (browser, url) = (Browser::new(), format!("{}{METADATA}", provider.issuer()));
    provider.put(Endpoint::Metadata, "issuer", json!("https://evil.example"));
    provider.omit(Endpoint::Metadata, "jwks_uri");
    let metadata = browser.navigate(&url).await.json();
    assert_eq!((&metadata["issuer"], metadata.get("jwks_uri")), (&json!("https://evil.example"), None));
    provider.once(Endpoint::Metadata, Behaviour::status(500));
    assert_eq!(browser.navigate(&url).await.status, 500);
    assert_eq!(browser.navigate(&url).await.status, 200);
    provider.restore(Endpoint::Metadata);
    assert_eq!(browser.navigate(&url).await.json()["issuer"], provider.issuer());
    assert_eq!((provider.hits(Endpoint::Metadata), provider.hits(Endpoint::Keys)), (4, 0));
}

#[tokio::test]
async fn the_provider_can_go_away_and_come_back_to_its_port() {
    let mut provider = TestProvider::with(Arc::new(SystemClock::default()), |settings| {
        settings.access_token_lifetime = Duration::from_secs(5);
    })
    .await;
    let (address, request) =
        (provider.address(), format!("GET {METADATA} HTTP/1.1\r\nHost: {}\r\n\r\n", provider.address()));
    provider.go_down().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    provider.come_back().await;
    assert_eq!(raw::ask(address, request).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_provider_s_keys_can_be_rotated() {
    let provider = TestProvider::start().await;
    let before = provider.key();
    let after = provider.rotate_keys();
    let keys = Browser::new().navigate(&format!("{}/jwks", provider.issuer())).await.json();
    assert_eq!(keys["keys"], json!([after.public_jwk()]));
    assert_ne!(before.id(), after.id());
    assert_eq!(parts(&provider.mint(&provider.header(), &json!({}))).0["kid"], after.id());
}

#[test]
fn every_kind_of_key_signs_what_its_public_half_verifies() {
    use aws_lc_rs::signature as verify;
    use base64::Engine;

    let algorithms: [(TestKey, &str); 5] = [
        (TestKey::es256(), "EC"),
        (TestKey::es384(), "EC"),
        (TestKey::ed25519(), "OKP"),
        (TestKey::rs256(), "RSA"),
        (TestKey::ps256(), "RSA"),
    ];
    let decode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap();
    for (key, kind) in algorithms {
        let jwk = key.public_jwk("k");
        assert_eq!((&jwk["kty"], &jwk["kid"]), (&json!(kind), &json!("k")));
        let token = key.sign(&json!({ "alg": key.algorithm() }), &json!({ "b": 1, "a": 2 }));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (signed, signature) = (signed.as_bytes(), decode(signature));
        let member = |name: &str| decode(jwk[name].as_str().unwrap());
        let point = || [vec![4], member("x"), member("y")].concat();
        match key.algorithm() {
            "ES256" => {
                verify::UnparsedPublicKey::new(&verify::ECDSA_P256_SHA256_FIXED, point()).verify(signed, &signature)
            }
            "ES384" => {
                verify::UnparsedPublicKey::new(&verify::ECDSA_P384_SHA384_FIXED, point()).verify(signed, &signature)
            }
            "EdDSA" => verify::UnparsedPublicKey::new(&verify::ED25519, member("x")).verify(signed, &signature),
            rsa => {
                let pkcs1 = rsa == "RS256";
                let padding =
                    if pkcs1 { &verify::RSA_PKCS1_2048_8192_SHA256 } else { &verify::RSA_PSS_2048_8192_SHA256 };
                let public = verify::RsaPublicKeyComponents { n: member("n"), e: member("e") };
                public.verify(padding, signed, &signature)
            }
        }
        .unwrap();
    }
}

#[tokio::test]
async fn the_browser_tells_what_its_requests_are() {
    let (one, other) = (RecordingUpstream::start().await, RecordingUpstream::start().await);
    let (here, there) = (format!("http://localhost:{}", one.address().port()), other.url());
    let browser = Browser::new();
    let seen = |upstream: &RecordingUpstream, name: &str| upstream.last().header(name).map(ToOwned::to_owned);
    let metadata = |upstream: &RecordingUpstream| {
        ["site", "mode", "dest"].map(|name| seen(upstream, &format!("sec-fetch-{name}")).unwrap()).join(" ")
    };
    browser.navigate(&format!("{here}/page")).await;
    assert_eq!(
        (metadata(&one), seen(&one, "sec-fetch-user").as_deref()),
        ("none navigate document".into(), Some("?1"))
    );
    browser.fetch("/data").await;
    assert_eq!((metadata(&one), seen(&one, "origin")), ("same-origin cors empty".into(), None));
    browser.fetch(&there).await;
    assert_eq!((metadata(&other), seen(&other, "origin")), ("cross-site cors empty".into(), Some(here.clone())));
    browser.image(&there).await;
    assert_eq!(metadata(&other), "cross-site no-cors image");
    browser.prefetch("/next").await;
    assert_eq!(
        (metadata(&one), seen(&one, "sec-purpose").as_deref()),
        ("same-origin navigate document".into(), Some("prefetch"))
    );
    browser.frame("/inner").await;
    assert_eq!(metadata(&one), "same-origin navigate iframe");
    browser.post_form(&there, &[("a", "b&c")]).await;
    assert_eq!((metadata(&other), seen(&other, "origin")), ("cross-site navigate document".into(), Some(here.clone())));
    assert_eq!(other.last().form_value("a").as_deref(), Some("b&c"));
    Browser::old().navigate(&here).await;
    assert_eq!(seen(&one, "sec-fetch-site"), None);
}

#[tokio::test]
async fn a_chain_of_redirects_stays_cross_site_once_it_was() {
    let (one, other) = (RecordingUpstream::start().await, RecordingUpstream::start().await);
    let (here, there) = (format!("http://localhost:{}", one.address().port()), other.url());
    let back = format!("{here}/back");
    other.answer(move |_| Behaviour::redirect(303, &back));
    one.answer(|received| {
        let cookies = [("set-cookie", "lax=1; SameSite=Lax"), ("set-cookie", "strict=1; SameSite=Strict")];
        let body = received.header("cookie").unwrap_or_default().to_owned();
        Behaviour::with_headers(200, &cookies, body)
    });
    let browser = Browser::new();
    browser.navigate(&here).await;
    let page = browser.click(&there).await;
    assert_eq!(page.hops.len(), 2);
    assert_eq!(one.last().header("sec-fetch-site"), Some("cross-site"));
    assert_eq!(page.text(), "lax=1");
    assert_eq!(browser.click("/").await.text(), "lax=1; strict=1");
    assert_eq!(browser.navigate(&here).await.text(), "lax=1; strict=1");
    browser.navigate(&there.replace("127.0.0.1", "other.localhost")).await;
    assert_eq!(browser.post_form(&here, &[]).await.text(), "lax=1; strict=1", "the page is the one led back to");
}

#[tokio::test]
async fn the_jar_keeps_the_rules_of_prefixes_and_deletion() {
    let upstream = RecordingUpstream::start().await;
    upstream.answer(|received| {
        let query = received.query_value("set").unwrap_or_default();
        Behaviour::with_headers(
            200,
            &[("set-cookie", query.as_str())],
            received.header("cookie").unwrap_or("").to_owned(),
        )
    });
    let browser = Browser::new();
    browser.resolve("wiki.example.com", upstream.address());
    let set = async |line: &str| {
        let query: String = url::form_urlencoded::byte_serialize(line.as_bytes()).collect();
        browser.navigate(&format!("https://wiki.example.com/?set={query}")).await.text()
    };
    set("__Host-Http-a=1; Secure; HttpOnly; Path=/").await;
    for bad in [
        "__Host-Http-b=1; Secure; Path=/",
        "__Host-c=1; HttpOnly; Path=/",
        "__Host-d=1; Secure; Path=/x",
        "e=1; Domain=evil.example",
    ] {
        set(bad).await;
    }
    assert_eq!(browser.jar().refused.len(), 4);
    assert_eq!(set("x=1; Path=/elsewhere").await, "__Host-Http-a=1");
    assert_eq!(set("__Host-Http-a=; Secure; HttpOnly; Path=/; Max-Age=0").await, "__Host-Http-a=1");
    assert_eq!(set("y=1").await, "");
    let plain = browser.navigate("http://wiki.example.com/").await;
    assert_eq!((plain.text().as_str(), plain.request_headers.get("sec-fetch-site")), ("y=1", None));
    assert_eq!(upstream.last().header("host"), Some("wiki.example.com"));
}

#[tokio::test]
async fn the_browser_opens_web_sockets_and_streams() {
    let upstream = RecordingUpstream::start().await;
    let browser = Browser::new();
    browser.navigate(&upstream.url()).await;
    let mut socket = browser.web_socket("/ws", None).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    assert_eq!(upstream.last().header("origin"), Some(upstream.url().as_str()));
    upstream.answer_once(Behaviour::status(401));
    assert_eq!(browser.web_socket("/ws", Some("http://evil.example")).await.unwrap_err().status(), 401);
    let (sender, stream) = Behaviour::events();
    upstream.answer_once(stream);
    let mut response = browser.stream("/events", Asked::new(Kind::Fetch)).await;
    sender.send(Bytes::from("data: 1\n\n")).await.unwrap();
    assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "data: 1\n\n");
}

#[test]
fn forms_links_and_refreshes_are_found() {
    let page = r#"<!-- <form> --><meta http-equiv=refresh content="0; url=/a?b&amp;c"><a href='/x'>Go &gt;</a>
        <script>"<form>"</script><form method="POST" action="/go?a=1&#38;b=2"><input name=q value="a&quot;b"><input type=checkbox name=no>
        <textarea name=t>x &lt; y</textarea><button name=do value=it>Do it</button><button type=button>No</button></form>"#;
    let form = html::forms(page).remove(0);
    assert_eq!((form.method.as_str(), form.action.as_deref()), ("post", Some("/go?a=1&b=2")));
    assert_eq!(form.fields, [("q".into(), "a\"b".into()), ("t".into(), "x < y".into())]);
    assert_eq!((form.buttons.len(), form.button("do", "it").unwrap().label.as_str()), (1, "Do it"));
    assert_eq!(html::forms(page).len(), 1);
    assert_eq!(html::links(page), [("/x".to_owned(), "Go >".to_owned())]);
    assert_eq!(html::meta_refresh(page).as_deref(), Some("/a?b&c"));
}
