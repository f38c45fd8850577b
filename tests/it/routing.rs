//! Which upstream gets a request, over what it is reached, and what it is told about where it lies.

use std::sync::Arc;

use crate::harness::behaviour::Behaviour;
use crate::harness::gateway::{CLIENT_ID, CLIENT_SECRET, Setup, Stage};
use crate::harness::provider::TestProvider;
use crate::harness::received::Received;
use crate::harness::spelled_out::NAVIGATION;
use crate::harness::upstream::RecordingUpstream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, pki_types::PrivateKeyDer};
use vestibule::demo::provider::RegisteredClient;
use vestibule::secret::ClientSecret;

#[tokio::test]
async fn the_longest_prefix_on_a_segment_border_wins() {
    let (wiki, deep) = (RecordingUpstream::start().await, RecordingUpstream::start().await);
    let more = format!(
        "[[upstream]]\nname = \"wiki\"\npath = \"/wiki\"\ntarget = \"{}\"\npublic = [\"/wiki/**\"]\n\
         [[upstream]]\nname = \"deep\"\npath = \"/wiki/a/deep\"\ntarget = \"{}\"\npublic = [\"/wiki/a/deep/**\"]",
        wiki.url(),
        deep.url()
    );
    let stage = Stage::with(|setup| {
        setup.upstream = "anonymous = \"forward\"".to_owned();
        setup.more = more;
    })
    .await;
    for (target, expected) in [
        ("/", [1, 0, 0]),
        ("/wiki", [0, 1, 0]),
        ("/wiki/", [0, 1, 0]),
        ("/wiki/a", [0, 1, 0]),
        ("/wiki/a/deepest", [0, 1, 0]),
        ("/wiki/a/deep", [0, 0, 1]),
        ("/wiki/a/deep/x?/wiki", [0, 0, 1]),
        ("/wikipedia", [1, 0, 0]),
        ("/Wiki/a", [1, 0, 0]),
        ("/x/wiki/a", [1, 0, 0]),
    ] {
        let before = [stage.upstream.hits(), wiki.hits(), deep.hits()];
        assert_eq!(stage.spelled(&format!("GET {target}"), &[]).await.status, 200, "{target}");
        let after = [stage.upstream.hits(), wiki.hits(), deep.hits()];
        let hit: Vec<_> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(hit, expected, "{target}");
    }
}

#[tokio::test]
async fn every_host_is_its_own_login_and_a_foreign_one_is_421() {
    let wiki = RecordingUpstream::start().await;
    let more = format!("[[upstream]]\nname = \"wiki\"\nhost = \"wiki.example\"\ntarget = \"{}\"", wiki.url());
    let provider = TestProvider::start().await;
    let hosts = ["https://app.example", "https://wiki.example"];
    provider.register(RegisteredClient {
        id: CLIENT_ID.to_owned(),
        secret: Some(ClientSecret::new(CLIENT_SECRET.to_owned())),
        redirect_uris: hosts.map(|host| format!("{host}/oauth2/callback")).to_vec(),
        post_logout_redirect_uris: hosts.map(|host| format!("{host}/oauth2/signed_out")).to_vec(),
    });
    let adjust = |setup: &mut Setup| {
        setup.register = false;
        setup.more = more;
    };
    let stage = Stage::with_provider(provider, adjust).await;
    stage.browser.resolve("wiki.example", stage.gateway.address);
    stage.log_in().await;
    assert_eq!((stage.upstream.hits(), wiki.hits()), (1, 0));
    // The second host is silent at the provider: it knows the person already.
    let page = stage.browser.navigate("https://wiki.example/deep?a=b").await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, "https://wiki.example/deep?a=b"));
    assert_eq!(wiki.last().header("x-forwarded-host"), Some("wiki.example"));
    // The cookie of one host is worth nothing on the other.
    let cookie = stage.cookie_line();
    let mut connection = stage.connect().await;
    connection.send(format!("GET / HTTP/1.1\r\nHost: wiki.example\r\n{cookie}\r\n\r\n")).await;
    assert_eq!(connection.response().await.unwrap().status, 401);
    let hits = (stage.upstream.hits(), wiki.hits());
    for host in ["other.example", "app.example.evil", "app.example:8443", "127.0.0.1", "sub.app.example"] {
        for target in ["/", "/oauth2/start", "/oauth2/callback?code=a&state=b", "/oauth2/sign_out"] {
            let mut connection = stage.connect().await;
            connection.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n\r\n")).await;
            let response = connection.response().await.unwrap();
            assert_eq!((response.status, response.header("set-cookie")), (421, None), "{host}{target}");
        }
    }
    for host in ["APP.EXAMPLE", "app.example:443"] {
        let mut connection = stage.connect().await;
        connection.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n\r\n")).await;
        assert_eq!(connection.response().await.unwrap().status, 200, "{host}");
        assert_eq!(stage.upstream.last().header("host"), Some("app.example"));
    }
    assert_eq!((stage.upstream.hits(), wiki.hits()), (hits.0 + 2, hits.1));
}

#[tokio::test]
async fn strip_prefix_takes_the_path_off_and_puts_it_back() {
    let wiki = RecordingUpstream::start().await;
    let more = format!(
        "[[upstream]]\nname = \"wiki\"\npath = \"/wiki\"\nstrip_prefix = true\nanonymous = \"forward\"\ntarget = \"{}\"",
        wiki.url()
    );
    let stage = Stage::with(|setup| setup.more = more).await;
    for (target, forwarded) in [("/wiki", "/"), ("/wiki/", "/"), ("/wiki/a?b=/wiki", "/a?b=/wiki"), ("/wiki?a", "/?a")]
    {
        assert_eq!(stage.spelled(&format!("GET {target}"), &[]).await.status, 200);
        assert_eq!(wiki.last().target, forwarded, "{target}");
        assert_eq!(wiki.last().header("x-forwarded-prefix"), Some("/wiki"));
    }
    for (location, seen) in [
        ("/login?a=b", "/wiki/login?a=b"),
        ("/wiki/login", "/wiki/login"),
        ("login", "login"),
        ("https://app.example/login", "https://app.example/wiki/login"),
        ("https://other.example/login", "https://other.example/login"),
        ("//other.example/login", "//other.example/login"),
    ] {
        let headers = [("location", location), ("set-cookie", "a=b; Path=/; HttpOnly")];
        wiki.answer_once(Behaviour::with_headers(302, &headers, "see /login"));
        let response = stage.spelled("GET /wiki/x", &[]).await;
        assert_eq!(response.header("location"), Some(seen), "{location}");
        assert_eq!(response.header("set-cookie"), Some("a=b; Path=/wiki; HttpOnly"));
        assert_eq!(response.text(), "see /login", "bodies stay as they are");
    }
}

#[tokio::test]
async fn pass_host_decides_which_host_the_upstream_sees() {
    for (pass_host, own) in [(true, false), (false, true)] {
        let upstream = format!("anonymous = \"forward\"\npass_host = {pass_host}");
        let stage = Stage::with(|setup| setup.upstream = upstream).await;
        let address = stage.upstream.address().to_string();
        let internal = format!("http://{address}/next");
        stage.upstream.answer_once(Behaviour::redirect(302, &internal));
        let response = stage.spelled("GET /x", &[]).await;
        let received = stage.upstream.last();
        assert_eq!(received.header("host"), Some(if own { address.as_str() } else { "app.example" }));
        assert_eq!(received.header("x-forwarded-host"), Some("app.example"));
        let seen = if own { "https://app.example/next" } else { internal.as_str() };
        assert_eq!(response.header("location"), Some(seen));
    }
}

#[tokio::test]
async fn a_path_in_the_public_url_stays_on_the_wire() {
    let stage = Stage::with(|setup| {
        setup.public_url = "https://app.example/tools".to_owned();
        setup.upstream = "public = [\"/tools/open/**\"]".to_owned();
    })
    .await;
    for target in ["/", "/open/x", "/toolsx", "/oauth2/start"] {
        assert_eq!(stage.spelled(&format!("GET {target}"), &NAVIGATION).await.status, 404, "{target}");
    }
    assert_eq!(stage.spelled("GET /tools/open/x", &[]).await.status, 200);
    assert_eq!(stage.upstream.last().target, "/tools/open/x");
    let page = stage.browser.log_in("https://app.example/tools/deep", "alice").await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/tools/deep"));
    assert_eq!(stage.upstream.last().target, "/tools/deep");
    assert_eq!(stage.upstream.last().header("x-forwarded-prefix"), None);
}

#[tokio::test]
async fn the_permissive_path_policy_lets_pass_what_is_ambiguous_but_no_dot_segments() {
    let permissive = "path_policy = \"permissive\"\nanonymous = \"forward\"";
    let stage = Stage::with(|setup| setup.upstream = permissive.to_owned()).await;
    for (target, forwarded) in [
        ("/a%2fb", "/a%2Fb"),
        ("/a;v=1/b", "/a;v=1/b"),
        ("//a//b", "//a//b"),
        ("/a%3bb", "/a%3Bb"),
        ("/repos/https://x/y", "/repos/https://x/y"),
    ] {
        assert_eq!(stage.spelled(&format!("GET {target}"), &[]).await.status, 200, "{target}");
        assert_eq!(stage.upstream.last().target, forwarded);
    }
    let hits = stage.upstream.hits();
    for target in ["/a/..;/b", "/a/%2e%2e/b", "/a%2f..%2fb", "/a%5cb", "/a%00", "/%2f../x"] {
        assert_eq!(stage.spelled(&format!("GET {target}"), &[]).await.status, 400, "{target}");
    }
    assert_eq!(stage.upstream.hits(), hits);
    // What looks like another authority never becomes one of ours on the way to the login.
    let login = stage.spelled("GET //evil.example/x", &["Accept: text/html"]).await;
    assert_eq!(login.status, 200);
}

/// Answers one request over whatever stream with what it was asked for.
async fn answer_one<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let Some(received) = Received::read(&mut stream, &mut Vec::new()).await else { return };
    let body = format!("{} {}", received.target, received.header("host").unwrap_or_default());
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all((head + &body).as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[tokio::test]
async fn an_upstream_may_listen_on_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wiki.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer_one(stream).await;
        }
    });
    let more = format!(
        "[[upstream]]\nname = \"unix\"\npath = \"/unix\"\nanonymous = \"forward\"\ntarget = \"unix:{}\"",
        path.display()
    );
    let stage = Stage::with(|setup| setup.more = more).await;
    let response = stage.spelled("GET /unix/x?y", &[]).await;
    assert_eq!((response.status, response.text().as_str()), (200, "/unix/x?y app.example"));
}

#[tokio::test]
async fn an_https_upstream_is_trusted_by_its_ca_file_alone() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["wiki.internal".to_owned()]).unwrap().self_signed(&key).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, certificate.pem()).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer_one(stream).await;
            }
        }
    });
    let ca = format!("ca_file = \"{}\"", ca_file.display());
    for (tls, expected) in [
        (format!("{ca}\nserver_name = \"wiki.internal\""), 200),
        (format!("{ca}\nserver_name = \"other.internal\""), 502),
        (ca.clone(), 502),
        ("server_name = \"wiki.internal\"".to_owned(), 502),
    ] {
        let more = format!(
            "[[upstream]]\nname = \"tls\"\npath = \"/tls\"\nanonymous = \"forward\"\ntarget = \"{target}\"\n[upstream.tls]\n{tls}"
        );
        let stage = Stage::with(|setup| setup.more = more).await;
        let response = stage.spelled("GET /tls/x", &[]).await;
        assert_eq!(response.status, expected, "{tls}");
        if expected == 200 {
            assert_eq!(response.text(), "/tls/x app.example");
        } else {
            assert_eq!(stage.gateway.log.lines_with(&["upstream.error", "upstream-unreachable"]), 1);
        }
    }
}
