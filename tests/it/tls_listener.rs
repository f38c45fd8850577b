//! TLS of our own: names and their certificates, versions, ALPN, new certificates without a lost connection, and who
//! stalls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vestibule::gateway::settings::Settings;
use vestibule::server::settings::{Limits, ListenTls, TlsVersion};
use vestibule::tls::TlsIdentity;

use crate::harness::gateway::{Setup, Stage};
use crate::harness::http2_client::Http2Client;
use crate::harness::patiently;
use crate::harness::provider::TestProvider;
use crate::harness::raw::RawConnection;
use crate::harness::tls::{connect, identity, pem, shown};
use crate::process::{Configured, Serving, configuration};

const HOST: &str = "app.example";
const SHORT: Duration = Duration::from_millis(300);

async fn stage_with(
    identities: &[Arc<TlsIdentity>],
    minimum_version: TlsVersion,
    limit: impl FnOnce(&mut Limits),
) -> Stage {
    let adjust = |setup: &mut Setup| {
        setup.upstream = "public = [\"/public/**\"]".to_owned();
    };
    let tls = ListenTls { identities: identities.to_vec(), minimum_version };
    let change = |settings: &mut Settings| {
        settings.listen.tls = Some(tls);
        limit(&mut settings.listen.limits);
    };
    Stage::with_settings(TestProvider::start().await, adjust, change).await
}

async fn http1_status(address: SocketAddr, version: &'static rustls::SupportedProtocolVersion) -> u16 {
    let mut connection = RawConnection::over(connect(address, HOST, &["http/1.1"], version).await.unwrap());
    connection.send("GET /public/x HTTP/1.1\r\nHost: app.example\r\n\r\n").await;
    connection.response().await.unwrap().status
}

#[tokio::test]
async fn both_versions_and_both_protocols_are_spoken_and_each_name_has_its_certificate() {
    let identities = [identity(&[HOST]), identity(&["*.other.example"])];
    let stage = stage_with(&identities, TlsVersion::Tls12, |_| {}).await;
    let address = stage.gateway.address;
    for version in [&TLS12, &TLS13] {
        assert_eq!(http1_status(address, version).await, 200);
        let stream = connect(address, HOST, &["h2", "http/1.1"], version).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let client = Http2Client::over(stream).await;
        assert_eq!(client.get(HOST, "/public/x", &[]).await, (200, "upstream".to_owned()));
    }
    for (name, wanted) in [(HOST, 0), ("a.other.example", 1), ("unknown.example", 0)] {
        let stream = connect(address, name, &[], &TLS13).await.unwrap();
        assert_eq!(shown(&stream), identities[wanted].chain[0], "{name}");
        assert_eq!(stream.get_ref().1.alpn_protocol(), None, "who asks for nothing speaks HTTP/1");
    }
    assert!(connect(address, HOST, &["spdy/1"], &TLS13).await.is_err());
    let line = stage.gateway.log.lines_with(&["limits.per-address"]);
    assert_eq!(line, 0, "said by the program, not by what it starts");
}

#[tokio::test]
async fn an_older_version_than_the_oldest_one_is_refused() {
    let stage = stage_with(&[identity(&[HOST])], TlsVersion::Tls13, |_| {}).await;
    assert!(connect(stage.gateway.address, HOST, &[], &TLS12).await.is_err());
    assert_eq!(http1_status(stage.gateway.address, &TLS13).await, 200);
}

#[tokio::test]
async fn what_is_no_tls_is_closed_and_counted() {
    let stage = stage_with(&[identity(&[HOST])], TlsVersion::Tls12, |_| {}).await;
    let mut plain = stage.connect().await;
    plain.send("GET /public/x HTTP/1.1\r\nHost: app.example\r\n\r\n").await;
    let answer = plain.rest().await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(stage.upstream.hits(), 0);
    patiently("the count", async {
        while stage.gateway.counted("malformed_total{kind=\"tls\"}") < 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn sl_04_a_handshake_that_stalls_or_drips_is_closed_and_others_are_served() {
    let stage = stage_with(&[identity(&[HOST])], TlsVersion::Tls12, |limits| limits.handshake_timeout = SHORT).await;
    // The beginning of a ClientHello, whole and byte by byte.
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 64]].concat();
    let mut stalled = TcpStream::connect(stage.gateway.address).await.unwrap();
    stalled.write_all(&hello).await.unwrap();
    let (mut read, mut write) = TcpStream::connect(stage.gateway.address).await.unwrap().into_split();
    let dripping = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for byte in hello.iter().cycle() {
            tick.tick().await;
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    });
    let mut silent = TcpStream::connect(stage.gateway.address).await.unwrap();
    assert_eq!(http1_status(stage.gateway.address, &TLS13).await, 200);
    let mut bytes = Vec::new();
    for stream in [&mut stalled, &mut silent] {
        let _reset_or_end = patiently("the end", stream.read_to_end(&mut bytes)).await;
    }
    let _reset_or_end = patiently("the end", read.read_to_end(&mut bytes)).await;
    dripping.await.unwrap();
    assert_eq!(stage.gateway.limit_reached("handshake-timeout"), 3);
}

#[tokio::test]
async fn sl_06_one_address_has_so_many_connections() {
    let stage = stage_with(&[identity(&[HOST])], TlsVersion::Tls12, |limits| limits.connections_per_address = 2).await;
    let address = stage.gateway.address;
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(connect(address, HOST, &[], &TLS13).await.unwrap());
    }
    assert!(connect(address, HOST, &[], &TLS13).await.is_err());
    open.pop();
    patiently("a place", async { while connect(address, HOST, &[], &TLS13).await.is_err() {} }).await;
    assert!(stage.gateway.limit_reached("connections-per-address") >= 1);
}

#[tokio::test]
async fn a_new_certificate_is_in_force_when_its_file_has_changed_and_a_broken_one_is_not() {
    let provider = TestProvider::start().await;
    let configured = Configured::with("");
    let write = |names: &[&str]| {
        let (certificate, key) = pem(names);
        configured.write("tls.key", &key);
        configured.write("tls.crt", &certificate);
    };
    write(&["first.example"]);
    let text = configuration(provider.issuer(), "127.0.0.1:0", "https://app.example", "http://127.0.0.1:1")
        .replace(
            "[listen.limits]",
            "startup_grace = \"1s\"\ntls = { certificate = \"tls.crt\", key = \"tls.key\" }\n[listen.limits]",
        )
        .replace(&format!("issuer = \"{}\"", provider.issuer()), "issuer = \"https://id.example\"");
    let path = configured.write("vestibule.toml", &text);
    let mut serving = Serving::start(path.to_str().unwrap()).await;
    let before = connect(serving.public, HOST, &[], &TLS13).await.unwrap();
    let first = shown(&before);
    configured.write("tls.crt", "no certificate");
    serving.logs("config.rejected").await;
    assert_eq!(shown(&connect(serving.public, HOST, &[], &TLS13).await.unwrap()), first);
    write(&["second.example"]);
    patiently("the new certificate", async {
        while shown(&connect(serving.public, HOST, &[], &TLS13).await.unwrap()) == first {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut before = RawConnection::over(before);
    before.send("GET /public/x HTTP/1.1\r\nHost: app.example\r\n\r\n").await;
    assert_eq!(before.response().await.unwrap().status, 502, "who came before is served as before");
}
