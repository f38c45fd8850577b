//! An application whose settings have changed: which connections go on serving.

use super::*;

fn succeeding(before: &Upstream, settings: &UpstreamSettings) -> Arc<Upstream> {
    let managed = Arc::new(ManagedSet::new(settings.headers.iter().map(|(name, _)| name)));
    Upstream::new(settings, managed, Via::draw(&SystemEntropy).unwrap(), gauges(), None, Some(before)).unwrap()
}

/// Asks once, and leaves the connection to the application in the pool.
async fn ask(upstream: &Arc<Upstream>, application: &mut TcpStream) -> String {
    let mut gateway = gateway(upstream, Visitor::alice()).await;
    send(&mut gateway.browser, "GET / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
    let head = read_head(application).await;
    send(application, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    read_until(&mut gateway.browser, "ok").await;
    head
}

#[tokio::test]
async fn other_headers_and_deadlines_go_over_the_connections_that_are_there() {
    let (listener, address) = application().await;
    let chosen = settings(address);
    let before = upstream(&chosen);
    let asking = tokio::spawn({
        let before = Arc::clone(&before);
        async move {
            let mut gateway = gateway(&before, Visitor::alice()).await;
            send(&mut gateway.browser, "GET / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
            read_until(&mut gateway.browser, "ok").await;
        }
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    asking.await.unwrap();
    let mut changed = chosen.clone();
    let template = HeaderTemplate::parse("new").unwrap();
    changed.headers = vec![(HeaderName::from_static("x-auth-new"), template)];
    changed.timeouts.idle = Duration::from_secs(7);
    let after = succeeding(&before, &changed);
    assert!(ask(&after, &mut stream).await.to_lowercase().contains("x-auth-new: new"));
}

#[tokio::test]
async fn another_target_or_other_trust_takes_new_connections() {
    let (_, address) = application().await;
    let chosen = settings(address);
    let before = upstream(&chosen);
    let is_kept = |change: fn(&mut UpstreamSettings)| {
        let mut changed = chosen.clone();
        change(&mut changed);
        let after = succeeding(&before, &changed);
        after.targets.has_all_of(&before.targets)
    };
    assert!(is_kept(|_| {}));
    assert!(is_kept(|settings| settings.pass_host = false));
    assert!(is_kept(|settings| settings.targets.push(Target::Http { host: "127.0.0.1".into(), port: 1 })));
    assert!(!is_kept(|settings| settings.targets = vec![Target::Http { host: "127.0.0.1".into(), port: 1 }]));
    assert!(!is_kept(|settings| settings.health.failures = 7));
    assert!(!is_kept(|settings| settings.limits.requests = Some(7)));
    assert!(!is_kept(|settings| settings.tls.server_name = Some("wiki.internal".try_into().unwrap())));
    assert!(!is_kept(|settings| settings.timeouts.connect = Duration::from_secs(1)));
}

#[tokio::test]
async fn a_new_ca_file_is_what_new_connections_are_judged_by() {
    let (old, new) = (transports::authority(), transports::authority());
    let (listener, address) = application().await;
    let acceptor = transports::acceptor(&new, "localhost");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    let mut chosen = settings(address);
    chosen.targets = vec![Target::Https { host: "localhost".into(), port: address.port() }];
    chosen.tls.ca_certificates = vec![old.der().clone()];
    let before = upstream(&chosen);
    chosen.tls.ca_certificates.push(new.der().clone());
    let after = succeeding(&before, &chosen);
    for (upstream, status) in [(&before, "HTTP/1.1 599"), (&after, "HTTP/1.1 200")] {
        let mut gateway = gateway(upstream, Visitor::alice()).await;
        send(&mut gateway.browser, "GET / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
        assert!(read_head(&mut gateway.browser).await.starts_with(status));
    }
}
