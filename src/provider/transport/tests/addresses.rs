//! A provider whose name has an address that swallows everything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

use super::*;

/// An address at which connections are neither accepted nor refused: its queue is full.
struct BlackHole {
    address: SocketAddr,
    _listener: tokio::net::TcpListener,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    async fn at(port: u16) -> Self {
        let v6 = (TcpSocket::new_v6(), IpAddr::V6(Ipv6Addr::LOCALHOST));
        // Where the machine has no IPv6, another address of the other family has to do.
        let v4 = (TcpSocket::new_v4(), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));
        for (socket, ip) in [v6, v4] {
            let address = SocketAddr::new(ip, port);
            let Ok(socket) = socket else { continue };
            if socket.bind(address).is_err() {
                continue;
            }
            let (listener, mut queued) = (socket.listen(1).unwrap(), Vec::new());
            loop {
                match tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
                    Ok(connected) => queued.push(connected.unwrap()),
                    // A queue of one holds two; before that it was the machine that was slow.
                    Err(_) if queued.len() >= 2 => break,
                    Err(_) => {}
                }
            }
            return Self { address, _listener: listener, _queued: queued };
        }
        panic!("no address for a black hole");
    }
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "what is promised is a time")]
async fn if_10_an_address_that_swallows_everything_costs_a_moment_and_no_more() {
    let server = TestServer::openid().await;
    server.on("/x", |_| Reply::json(200, "{}"));
    let mut url = server.url("/x");
    let there = SocketAddr::from((Ipv4Addr::LOCALHOST, url.port().unwrap()));
    let hole = BlackHole::at(there.port()).await;
    url.set_host(Some("provider.test")).unwrap();
    let settings = |connect| ProviderSettings { connect_timeout: Duration::from_secs(connect), ..server.settings() };
    for (addresses, connect, most, expected) in [
        // Well under a share of what connecting may take.
        ([hole.address, there], 10, 3, Ok(())),
        ([there, hole.address], 10, 3, Ok(())),
        // Nothing was sent, and that is known.
        ([hole.address; 2], 1, 3, Err(CallOutcome::Unreachable)),
    ] {
        let settings = settings(connect);
        let client = client(&settings).unwrap().resolve_to_addrs("provider.test", &addresses);
        let transport = Transport::over(client, &settings, &server.parts()).unwrap();
        let begun = std::time::Instant::now();
        let called = transport.get(EndpointKind::Keys, &url, None).await;
        let took = begun.elapsed();
        assert_eq!(called.map(|answer| assert_eq!(answer.status, 200)), expected, "{addresses:?}");
        assert!(took < Duration::from_secs(most), "{addresses:?}: {took:?}");
    }
    assert_eq!(server.hits("/x"), 2);
}
