//! Signing out: here, at the provider, and back; who may cause it, and what is left of a session afterwards.

use std::time::Duration;

use crate::harness::behaviour::Behaviour;
use crate::harness::browser::{Asked, Kind};
use crate::harness::by_hand::{LOGIN, NAVIGATION, SESSION, cookie, pair, program, send, session_cookie};
use crate::harness::gateway::{CLIENT_ID, Stage};
use crate::harness::provider::{Endpoint, TestProvider};

const SIGN_OUT: &str = "/oauth2/sign_out";

async fn logged_in() -> (Stage, String) {
    let stage = Stage::set().await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    (stage, ours)
}

#[tokio::test]
async fn lo_02_signing_out_ends_the_session_here_and_at_the_provider() {
    let (stage, ours) = logged_in().await;
    let hits = stage.upstream.hits();
    let page = stage.browser.navigate(&stage.url(&format!("{SIGN_OUT}?rd=%2Fbye%3Fa%3Db"))).await;
    // The last page is behind the login again: its `rd` was followed by way of the provider.
    let first = &page.hops[0];
    assert_eq!((first.status.as_u16(), first.header("cache-control")), (303, Some("no-store")));
    assert_eq!(first.header("referrer-policy"), Some("no-referrer"));
    let to = first.location().unwrap();
    assert!(to.as_str().starts_with(&format!("{}/end_session?", stage.provider.issuer())), "{to}");
    let asked = &stage.provider.requests(Endpoint::EndSession)[0];
    assert_eq!(asked.query_value("post_logout_redirect_uri").unwrap(), stage.url("/oauth2/signed_out"));
    assert!(asked.query_value("id_token_hint").is_some() && asked.query_value("state").is_some());
    assert_eq!(asked.query_value("client_id").as_deref(), Some(CLIENT_ID));
    let back = page.hop("/oauth2/signed_out");
    assert_eq!((back.status.as_u16(), back.location().unwrap().as_str()), (303, &*stage.url("/bye?a=b")));
    assert_eq!(page.hop("/bye").status, 303, "logged out: the page leads to the login");
    assert_eq!(page.hop("/authorize").status, 200, "the provider has forgotten the browser too");
    assert_eq!(stage.upstream.hits(), hits);

    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 401);
    assert_eq!((cookie(&stage.browser, SESSION), cookie(&stage.browser, LOGIN).is_some()), (None, true));
    stage.provider.hits_reach(Endpoint::Revocation, 1).await;
    let revoked = &stage.provider.requests(Endpoint::Revocation)[0];
    assert_eq!(revoked.form_value("token_type_hint").as_deref(), Some("refresh_token"));
    for (event, count) in [("logout.local", 1), ("logout.at-provider", 1), ("\"session.ended\"", 1)] {
        assert_eq!(stage.gateway.log.lines_with(&["INFO", event]), count, "{event}");
    }
    assert_eq!(stage.gateway.log.lines_with(&["\"session.ended\"", "sign-out"]), 1);
}

#[tokio::test]
async fn lo_02_without_an_end_session_endpoint_the_gateway_says_so_itself() {
    let provider = TestProvider::start().await;
    provider.omit(Endpoint::Metadata, "end_session_endpoint");
    let stage = Stage::with_provider(provider, |_| {}).await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    let page = stage.browser.navigate(&stage.url(SIGN_OUT)).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/oauth2/signed_out"));
    assert!(page.text().contains("You are signed out"), "{}", page.text());
    assert_eq!(page.links().len(), 1);
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 401);
    assert_eq!(stage.gateway.log.lines_with(&["logout.at-provider"]), 0);
    stage.provider.hits_reach(Endpoint::Revocation, 1).await;
}

#[tokio::test]
async fn lo_05_only_our_own_state_leads_anywhere() {
    let (stage, _) = logged_in().await;
    let first = stage.browser.navigate_once(&stage.url(&format!("{SIGN_OUT}?rd=%2Fbye"))).await;
    let location = first.location().unwrap();
    let state = location.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let target = format!("/oauth2/signed_out?state={state}");
    let good = send(&stage.gateway, "GET", &target, &NAVIGATION).await;
    assert_eq!((good.status, good.header("location")), (303, Some("/bye")));
    let flipped = format!("{}{}", &state[..state.len() - 1], if state.ends_with('A') { "B" } else { "A" });
    for query in [
        String::new(),
        "?rd=%2Fbye".to_owned(),
        "?rd=https%3A%2F%2Fevil.example%2F".to_owned(),
        "?state=".to_owned(),
        "?state=abc&rd=%2F%2Fevil.example".to_owned(),
        format!("?state={flipped}"),
        format!("?state={}", &state[..40]),
        format!("?state={}", "A".repeat(5_000)),
    ] {
        let answer = send(&stage.gateway, "GET", &format!("/oauth2/signed_out{query}"), &NAVIGATION).await;
        assert_eq!((answer.status, answer.header("location")), (200, None), "{query}");
        assert!(answer.text().contains("You are signed out") && !answer.text().contains("evil"), "{query}");
    }
    let twice = send(&stage.gateway, "GET", &format!("{target}&state={state}"), &NAVIGATION).await;
    assert_eq!(twice.status, 400);
    stage.gateway.clock.advance(Duration::from_secs(3_601));
    let late = send(&stage.gateway, "GET", &target, &NAVIGATION).await;
    assert_eq!((late.status, late.header("location")), (200, None));
}

#[tokio::test]
async fn lo_06_signing_out_twice_or_at_once_is_as_good_as_once() {
    let (stage, ours) = logged_in().await;
    let url = stage.url(SIGN_OUT);
    let tabs = [stage.browser.clone(), stage.browser.clone(), stage.browser.clone()];
    let (one, two, three) =
        tokio::join!(tabs[0].navigate_once(&url), tabs[1].navigate_once(&url), tabs[2].navigate_once(&url));
    for page in [one, two, three, stage.browser.navigate_once(&url).await] {
        assert_eq!(page.status, 303);
    }
    // With the old cookie once more, as a tab would that has not heard of it.
    let answer = send(
        &stage.gateway,
        "GET",
        SIGN_OUT,
        &[
            ("Cookie", &ours),
            ("Sec-Fetch-Site", "none"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ],
    )
    .await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/oauth2/signed_out")));
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 401);
    assert_eq!(stage.gateway.log.lines_with(&["\"session.ended\""]), 1);
    assert_eq!(stage.gateway.log.lines_with(&["logout.local"]), 1);
    assert!(stage.gateway.metrics.encode().contains("vestibule_sessions_ended_total{reason=\"sign-out\"} 1"));
}

#[tokio::test]
async fn if_11_a_provider_that_cannot_revoke_keeps_nobody_logged_in() {
    let (stage, ours) = logged_in().await;
    stage.provider.instead(Endpoint::Revocation, |_| Behaviour::status(503));
    let page = stage.browser.navigate_once(&stage.url(SIGN_OUT)).await;
    assert_eq!(page.status, 303);
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 401);
    stage.provider.hits_reach(Endpoint::Revocation, 2).await;
}

#[tokio::test]
async fn cs_08_a_link_of_another_site_gets_a_button_and_ends_nothing() {
    let (stage, ours) = logged_in().await;
    let target = format!("{SIGN_OUT}?rd=%2Fbye");
    for site in [Some("cross-site"), Some("same-site"), Some("Same-Origin"), Some(""), None] {
        let mut headers = vec![("Cookie", &*ours), NAVIGATION[0], NAVIGATION[1]];
        headers.extend(site.map(|site| ("Sec-Fetch-Site", site)));
        let answer = send(&stage.gateway, "GET", &target, &headers).await;
        assert_eq!((answer.status, answer.all("set-cookie").len()), (200, 0), "{site:?}");
        assert!(answer.text().contains("Sign out?") && answer.text().contains("value=\"/bye\""), "{}", answer.text());
        assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200, "{site:?}");
    }
    let twice = [("Cookie", &*ours), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(send(&stage.gateway, "GET", SIGN_OUT, &twice).await.status, 200);
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
    let headers = [("Cookie", &*ours), ("Sec-Fetch-Site", "none"), NAVIGATION[0], NAVIGATION[1]];
    assert_eq!(send(&stage.gateway, "HEAD", SIGN_OUT, &headers).await.status, 200);
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
    assert_eq!(stage.provider.hits(Endpoint::EndSession), 0);
}

#[tokio::test]
async fn cs_08_the_button_signs_out() {
    let (stage, ours) = logged_in().await;
    // A page of somebody else leads here by a link.
    let elsewhere = stage.browser.clone();
    elsewhere.navigate(&format!("{}/nowhere", stage.provider.issuer())).await;
    let page = elsewhere.click(&stage.url(&format!("{SIGN_OUT}?rd=%2Fbye"))).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-security-policy").map(|policy| policy.contains("default-src 'none'")), Some(true));
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
    let form = page.forms().remove(0);
    let done = elsewhere.submit(&form, None).await;
    assert_eq!(done.hop(SIGN_OUT).method, "POST");
    assert_eq!(done.hop("/oauth2/signed_out").location().unwrap().as_str(), stage.url("/bye"));
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 401);
}

#[tokio::test]
async fn cs_08_typed_links_and_links_of_our_own_sign_out_at_once() {
    for site in ["none", "same-origin"] {
        let (stage, ours) = logged_in().await;
        let answer = send(
            &stage.gateway,
            "GET",
            SIGN_OUT,
            &[
                ("Cookie", &ours),
                ("Sec-Fetch-Site", site),
                ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-Dest", "document"),
            ],
        )
        .await;
        assert_eq!(answer.status, 303);
        assert_eq!(program(&stage.gateway, "/", &ours).await.status, 401);
    }
}

#[tokio::test]
async fn a_post_from_elsewhere_does_not_sign_out() {
    let (stage, ours) = logged_in().await;
    for header in [
        Some(("Sec-Fetch-Site", "cross-site")),
        Some(("Sec-Fetch-Site", "same-site")),
        Some(("Origin", "https://evil.example")),
        Some(("Origin", "null")),
        None,
    ] {
        let headers: Vec<_> = std::iter::once(("Cookie", &*ours)).chain(header).collect();
        let answer = send(&stage.gateway, "POST", SIGN_OUT, &headers).await;
        assert_eq!((answer.status, answer.all("set-cookie").len()), (403, 0), "{header:?}");
        assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
    }
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "csrf.denied"]), 5);
    let marked = [("Cookie", &*ours), ("X-Vestibule-CSRF", "1")];
    assert_eq!(send(&stage.gateway, "POST", SIGN_OUT, &marked).await.status, 303);
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 401);
}

#[tokio::test]
async fn ru_01_no_return_path_leads_elsewhere_after_a_logout() {
    let (stage, _) = logged_in().await;
    for rd in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example", "javascript%3Aalert(1)"] {
        let headers = [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
        let answer = send(&stage.gateway, "GET", &format!("{SIGN_OUT}?rd={rd}"), &headers).await;
        assert_eq!(answer.status, 303);
        let location = answer.header("location").unwrap().to_owned();
        let back = send(&stage.gateway, "GET", &location, &NAVIGATION).await;
        assert_eq!((back.status, back.header("location")), (303, Some("/")), "{rd}");
    }
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "return-url.rejected"]), 4);
    let twice = send(&stage.gateway, "GET", &format!("{SIGN_OUT}?rd=/a&rd=/b"), &[("Sec-Fetch-Site", "none")]).await;
    assert_eq!(twice.status, 400);
    let asked = Asked::new(Kind::Navigation).typed().form(&[("rd", "/form")]).header("sec-fetch-site", "same-origin");
    let posted = stage.browser.ask(&stage.url(SIGN_OUT), asked).await;
    assert_eq!(posted.hop("/oauth2/signed_out").location().unwrap().as_str(), stage.url("/form"));
}

#[tokio::test]
async fn an_image_a_prefetch_or_a_head_of_our_own_page_signs_nobody_out() {
    let (stage, ours) = logged_in().await;
    let url = stage.url(SIGN_OUT);
    let image = stage.browser.image(&url).await;
    let prefetch = stage.browser.prefetch(&url).await;
    let head = send(&stage.gateway, "HEAD", SIGN_OUT, &NAVIGATION).await;
    for status in [image.status.as_u16(), prefetch.status.as_u16(), head.status] {
        assert_eq!(status, 200);
    }
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
}

#[tokio::test]
async fn lo_03_the_cookie_is_deleted_with_the_attributes_that_it_was_set_with() {
    for session in ["", "cookie = { same_site = \"strict\" }", "cookie = { persistent = true }"] {
        let stage = Stage::with(|setup| setup.session = session.to_owned()).await;
        let page = stage.browser.log_in(&stage.url("/"), "alice").await;
        let of_session = |line: &&str| line.starts_with(&format!("{SESSION}="));
        let lines: Vec<String> = page
            .hops
            .iter()
            .flat_map(|hop| hop.headers.get_all("set-cookie"))
            .map(|line| line.to_str().unwrap().to_owned())
            .collect();
        let set = lines.iter().map(String::as_str).find(of_session).unwrap().to_owned();
        let ours = pair(&session_cookie(&stage.browser));
        let headers = [("Cookie", &*ours), ("Sec-Fetch-Site", "none"), NAVIGATION[0], NAVIGATION[1]];
        let answer = send(&stage.gateway, "GET", SIGN_OUT, &headers).await;
        let deleted = answer.all("set-cookie").into_iter().find(|line| line.starts_with(SESSION)).unwrap().to_owned();
        let attributes = |line: &str| {
            let mut attributes: Vec<_> = line.split("; ").skip(1).map(str::to_owned).collect();
            attributes.retain(|attribute| !attribute.starts_with("Max-Age") && !attribute.starts_with("Expires"));
            attributes.sort();
            attributes
        };
        assert_eq!(attributes(&set), attributes(&deleted));
        assert!(deleted.starts_with(&format!("{SESSION}=;")) && deleted.contains("Max-Age=0"), "{deleted}");
    }
}
