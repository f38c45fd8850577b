//! TLS and Unix sockets.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::net::UnixListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls::TlsIdentity;

const GET: &str = "GET / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A certificate authority of the test's own.
pub(super) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A server for `name`, with a certificate of `issuer`.
pub(super) fn acceptor(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str) -> TlsAcceptor {
    acceptor_of(issuer, name, &[])
}

/// One that speaks these protocols.
pub(super) fn acceptor_of(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str, protocols: &[&str]) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    let crypto_provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(crypto_provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Asks a TLS application whose certificate is for `name`; the error, if there is one.
async fn ask(
    trusted: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    expected: Option<&'static str>,
) -> Option<UpstreamError> {
    let issuer = authority();
    let (listener, address) = application().await;
    let served_by = if name == "foreign" { &issuer } else { trusted };
    let acceptor = acceptor(served_by, if name == "foreign" { "localhost" } else { name });
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        stream.write_all(OK.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    });
    let mut chosen = settings(address);
    chosen.targets = vec![Target::Https { host: "localhost".into(), port: address.port() }];
    chosen.tls.ca_certificates = vec![trusted.der().clone()];
    chosen.tls.server_name = expected.map(|name| ServerName::try_from(name).unwrap());
    let upstream = upstream(&chosen);
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let head = read_head(&mut gateway.browser).await;
    served.await.unwrap();
    if head.starts_with("HTTP/1.1 599") { gateway.errors.recv().await } else { None }
}

#[tokio::test]
async fn an_application_behind_tls_answers() {
    assert!(ask(&authority(), "localhost", None).await.is_none());
    assert!(ask(&authority(), "internal.example", Some("internal.example")).await.is_none());
}

#[tokio::test]
async fn di_10_a_certificate_that_is_not_believed_is_unreachable() {
    for (name, expected) in [("foreign", None), ("other.example", None), ("localhost", Some("internal.example"))] {
        let error = ask(&authority(), name, expected).await;
        assert!(matches!(error, Some(UpstreamError::Unreachable(_))), "{name} {expected:?}");
    }
}

#[tokio::test]
async fn an_application_that_asks_who_we_are_is_shown_our_certificate() {
    let (trusted, stranger) = (authority(), authority());
    let identity_of = |issuer: &CertifiedIssuer<'static, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["vestibule".to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Arc::new(TlsIdentity { chain: vec![certificate.der().clone()], key })
    };
    let server = identity_of(&trusted);
    let crypto_provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.der().clone()).unwrap();
    let judge =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&crypto_provider));
    let config = rustls::ServerConfig::builder_with_provider(crypto_provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(judge.build().unwrap())
        .with_single_cert(server.chain.clone(), server.key.clone_key())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, address) = application().await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    let mut chosen = settings(address);
    chosen.targets = vec![Target::Https { host: "localhost".into(), port: address.port() }];
    chosen.tls.ca_certificates = vec![trusted.der().clone()];
    chosen.tls.server_name = Some(ServerName::try_from("vestibule").unwrap());
    for (identity, status) in
        [(None, "599"), (Some(identity_of(&stranger)), "599"), (Some(identity_of(&trusted)), "200")]
    {
        chosen.tls.identity = identity;
        let mut gateway = gateway(&upstream(&chosen), Visitor::alice()).await;
        send(&mut gateway.browser, GET).await;
        let head = read_head(&mut gateway.browser).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
}

#[tokio::test]
async fn an_application_on_a_unix_socket_answers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("application.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut chosen = settings("127.0.0.1:1".parse().unwrap());
    chosen.targets = vec![Target::Unix(path)];
    let upstream = upstream(&chosen);
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(String::from_utf8(head).unwrap().starts_with("GET / HTTP/1.1\r\n"));
    stream.write_all(OK.as_bytes()).await.unwrap();
    assert!(read_until(&mut gateway.browser, "ok").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn what_cannot_be_set_up_is_refused() {
    let address = "127.0.0.1:1".parse().unwrap();
    let refuse = |change: fn(&mut UpstreamSettings)| {
        let mut chosen = settings(address);
        change(&mut chosen);
        let managed = Arc::new(ManagedSet::new([]));
        Upstream::new(&chosen, managed, Via::draw(&SystemEntropy).unwrap(), gauges(), None, None).err().unwrap()
    };
    let host = refuse(|settings| settings.targets = vec![Target::Http { host: "a b".into(), port: 1 }]);
    assert!(matches!(host, InvalidUpstream::Host));
    let prefix = refuse(|settings| settings.strip_prefix = Some("wiki".into()));
    assert!(matches!(prefix, InvalidUpstream::Prefix));
    assert!(matches!(refuse(|settings| settings.targets.clear()), InvalidUpstream::NoTarget));
    let header = refuse(|settings| {
        let template = HeaderTemplate::parse("a").unwrap();
        settings.headers.push((HeaderName::from_static("content-length"), template));
    });
    assert!(matches!(header, InvalidUpstream::Header(_)));
    let mut six = settings(address);
    for host in ["::1", "[::1]"] {
        six.targets = vec![Target::Http { host: host.into(), port: 80 }];
        assert!(!upstream(&six).name().is_empty() && upstream(&six).needs_access_token());
    }
}
