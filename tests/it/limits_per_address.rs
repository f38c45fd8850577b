//! Limits on one user agent's address: only where a trusted proxy tells it, so that a company behind one ingress never
//! shares one person's limit.

use crate::harness::browser::{Asked, Kind};
use crate::harness::gateway::Stage;
use crate::harness::login_steps::{authorize, begin};
use crate::harness::provider::Endpoint;
use crate::harness::raw::RawConnection;
use crate::harness::spelled_out::{HANDSHAKE, head};

const LIMITS: &str = "limits = { websockets_per_address = 2, callbacks_per_address = 2 }";

async fn stage(trusted: &str) -> Stage {
    Stage::with(|setup| {
        setup.upstream = "public = [\"/public/**\"]".to_owned();
        setup.listen = format!("trusted_proxies = {trusted}\n{LIMITS}");
    })
    .await
}

/// A handshake on a public path, said to come from `address`.
async fn handshake(stage: &Stage, address: &str) -> (RawConnection, u16) {
    let mut connection = stage.connect().await;
    let forwarded = format!("X-Forwarded-For: {address}");
    let mut fields = HANDSHAKE.to_vec();
    fields.push(&forwarded);
    connection.send(head("GET /public/socket HTTP/1.1", &fields)).await;
    let status = connection.response_head().await.unwrap().status;
    (connection, status)
}

#[tokio::test]
async fn sl_06_web_sockets_of_an_address_are_counted_where_it_is_known() {
    let stage = stage("[\"127.0.0.0/8\"]").await;
    let mut open = Vec::new();
    // One IPv6 customer has a whole /64.
    for (address, expected) in [
        ("198.51.100.7", 101),
        ("198.51.100.7", 101),
        ("198.51.100.7", 429),
        ("198.51.100.8", 101),
        ("2001:db8:1:2::1", 101),
        ("2001:db8:1:2:ffff::1", 101),
        ("2001:db8:1:2::3", 429),
        ("2001:db8:1:3::1", 101),
    ] {
        let (connection, status) = handshake(&stage, address).await;
        assert_eq!(status, expected, "{address}");
        open.push(connection);
    }
    assert_eq!(stage.gateway.limit_reached("websockets-per-address"), 2);
}

#[tokio::test]
async fn sl_06_behind_an_ingress_that_is_not_trusted_nobody_shares_a_limit() {
    let stage = stage("[]").await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let (connection, status) = handshake(&stage, "198.51.100.7").await;
        assert_eq!(status, 101);
        open.push(connection);
    }
    assert_eq!(statuses_of_callbacks(&stage, &["198.51.100.7"; 4]).await, [200, 200, 200, 200]);
    assert_eq!(
        (stage.gateway.limit_reached("websockets-per-address"), stage.gateway.limit_reached("callbacks-per-address")),
        (0, 0)
    );
}

#[tokio::test]
async fn callbacks_of_an_address_are_counted_where_it_is_known() {
    let stage = stage("[\"127.0.0.0/8\"]").await;
    let addresses = ["198.51.100.7", "198.51.100.7", "198.51.100.7", "198.51.100.8"];
    assert_eq!(statuses_of_callbacks(&stage, &addresses).await, [200, 200, 429, 200]);
    assert_eq!(
        (stage.gateway.limit_reached("callbacks-per-address"), stage.gateway.limit_reached("callbacks")),
        (1, 0)
    );
    assert_eq!(stage.provider.hits(Endpoint::Token), 3, "nothing is spent for the one that is turned away");
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "too-many-callbacks", "of-one-address"]), 1);
}

/// Logins of as many browsers, whose callbacks are said to come from these addresses.
async fn statuses_of_callbacks(stage: &Stage, addresses: &[&str]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for address in addresses {
        let browser = stage.gateway.browser();
        let callback = authorize(&browser, &begin(&browser, &stage.url("/")).await, "alice").await;
        let asked = Asked::new(Kind::Navigation).header("x-forwarded-for", address);
        statuses.push(browser.ask(callback.as_str(), asked).await.status.as_u16());
    }
    statuses
}
