//! The PROXY protocol: whose word is taken, and what it tells.

use std::time::Duration;

use crate::harness::gateway::{Setup, Stage};
use crate::harness::patiently;
use crate::harness::provider::TestProvider;
use crate::harness::raw::RawConnection;
use vestibule::server::settings::Limits;

const REQUEST: &str = "GET /public/x HTTP/1.1\r\nHost: app.example\r\n\r\n";

async fn stage(trusted: &str, limit: impl FnOnce(&mut Limits)) -> Stage {
    let adjust = |setup: &mut Setup| {
        setup.listen = format!("proxy_protocol = true\ntrusted_proxies = [\"{trusted}\"]");
        setup.upstream = "public = [\"/public/**\"]".to_owned();
    };
    Stage::with_settings(TestProvider::start().await, adjust, |settings| limit(&mut settings.listen.limits)).await
}

/// What the application is told about the address of a request that begins with this.
async fn told(stage: &Stage, header: &[u8], fields: &str) -> Option<String> {
    let mut connection = stage.connect().await;
    connection.send([header, REQUEST.replace("\r\n\r\n", &format!("\r\n{fields}\r\n")).as_bytes()].concat()).await;
    let response = connection.response().await?;
    assert_eq!(response.status, 200);
    stage.upstream.last().header("x-forwarded-for").map(str::to_owned)
}

/// Version 2: a command, IPv4, and an address.
fn binary(command: u8, source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, 0x11, 0, 12]);
    header.extend(source);
    header.extend([10, 0, 0, 1, 0x1f, 0x90, 0, 80]);
    header
}

#[tokio::test]
async fn the_address_that_a_trusted_proxy_tells_is_that_of_the_connection() {
    let stage = stage("127.0.0.0/8", |_| {}).await;
    let (four, six) = (b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n", b"PROXY TCP6 2001:db8::7 ::1 8080 80\r\n");
    assert_eq!(told(&stage, four, "").await.unwrap(), "192.0.2.7");
    assert_eq!(told(&stage, six, "").await.unwrap(), "2001:db8::7");
    assert_eq!(told(&stage, &binary(1, [198, 51, 100, 9]), "").await.unwrap(), "198.51.100.9");
    // Whoever it is for is no proxy of ours, whatever it says.
    assert_eq!(told(&stage, four, "X-Forwarded-For: 203.0.113.1\r\n").await.unwrap(), "192.0.2.7");
    // A chain: the address it tells is that of another trusted proxy.
    let chained = b"PROXY TCP4 127.0.0.9 10.0.0.1 8080 80\r\n";
    assert_eq!(told(&stage, chained, "X-Forwarded-For: 203.0.113.1\r\n").await.unwrap(), "203.0.113.1, 127.0.0.9");
    // The proxy's own look at us.
    assert_eq!(told(&stage, &binary(0, [198, 51, 100, 9]), "").await.unwrap(), "127.0.0.1");
    assert_eq!(told(&stage, b"PROXY UNKNOWN\r\n", "").await.unwrap(), "127.0.0.1");
}

#[tokio::test]
async fn without_a_good_header_nothing_is_answered() {
    let trusted = stage("127.0.0.0/8", |limits| limits.header_timeout = Duration::from_millis(300)).await;
    for header in [&b""[..], b"PROXY TCP4 1.2.3.4\r\n", b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"] {
        let mut connection = trusted.connect().await;
        connection.send([header, REQUEST.as_bytes()].concat()).await;
        assert_eq!(connection.rest().await, b"", "{header:?}");
    }
    let mut slow = trusted.connect().await;
    slow.send("PROXY TCP4 192.0.2.7 10.0.").await;
    assert_eq!(slow.rest().await, b"");
    assert_eq!(trusted.upstream.hits(), 0);
    assert_eq!(trusted.gateway.counted("malformed_total{kind=\"proxy-protocol\"}"), 4);
    assert_eq!(trusted.gateway.limit_reached("header-timeout"), 1);
    // A good one, but of somebody whose word is not taken.
    let stranger = stage("10.0.0.0/8", |_| {}).await;
    let mut connection = stranger.connect().await;
    connection.send(["PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n", REQUEST].concat()).await;
    assert_eq!(connection.rest().await, b"");
    assert_eq!(stranger.upstream.hits(), 0);
}

#[tokio::test]
async fn sl_06_the_limits_per_address_hold_for_the_addresses_that_are_told() {
    let stage = stage("127.0.0.0/8", |limits| limits.connections_per_address = 1).await;
    let open = async |address: &str| -> RawConnection {
        let mut connection = stage.connect().await;
        connection.send(format!("PROXY TCP4 {address} 10.0.0.1 8080 80\r\n{REQUEST}")).await;
        connection
    };
    let mut first = open("192.0.2.7").await;
    assert_eq!(first.response().await.unwrap().status, 200);
    assert!(open("192.0.2.7").await.is_closed().await);
    assert_eq!(open("192.0.2.8").await.response().await.unwrap().status, 200);
    drop(first);
    patiently("a place", async { while open("192.0.2.7").await.response().await.is_none() {} }).await;
}
