//! A gateway under a path of its host: everything of its own lies under that path, and two can share a host.

use crate::harness::gateway::Stage;
use crate::harness::login_steps::{authorize, begin, call_back, encoded, parameter};
use crate::harness::provider::Endpoint;

async fn stage() -> Stage {
    Stage::with(|setup| setup.public_url = "https://app.example/tools".into()).await
}

#[tokio::test]
async fn a_person_logs_in_under_the_path_and_the_upstream_sees_it() {
    let stage = stage().await;
    let authorization = begin(&stage.browser, &stage.url("/deep?a=b")).await;
    let redirect_uri = "https://app.example/tools/oauth2/callback";
    assert_eq!(parameter(&authorization, "redirect_uri").as_deref(), Some(redirect_uri));
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let page = stage.browser.click(callback.as_str()).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, "https://app.example/tools/deep?a=b"));
    assert_eq!(stage.upstream.last().target, "/tools/deep?a=b");
    let jar = stage.browser.jar();
    let cookies = jar.beginning("app.example", "__Host-Http-vestibule");
    assert_eq!((cookies.len(), jar.refused.as_slice()), (2, &[][..]));
    for cookie in cookies {
        let digits = cookie.name.rsplit_once('-').unwrap().1;
        assert!(digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{}", cookie.name);
        assert_eq!((cookie.path.as_str(), cookie.secure, cookie.http_only, cookie.host_only), ("/", true, true, true));
    }
}

#[tokio::test]
async fn what_is_outside_the_path_is_not_there() {
    let stage = stage().await;
    stage.log_in().await;
    let hits = stage.upstream.hits();
    for path in ["/", "/tool", "/toolsx", "/oauth2/start", "/oauth2/callback?code=x&state=y", "/TOOLS/"] {
        let page = stage.browser.navigate_once(&format!("https://app.example{path}")).await;
        assert_eq!((page.status.as_u16(), page.set_cookies().len()), (404, 0), "{path}");
    }
    assert_eq!(stage.upstream.hits(), hits);
    assert_eq!(stage.browser.navigate(&stage.url("/x")).await.status, 200);
}

#[tokio::test]
async fn pages_and_endpoints_stay_under_the_path() {
    let stage = stage().await;
    let page = stage.browser.navigate_once(&stage.url("/oauth2/callback?code=x&state=y")).await;
    let start = format!("/tools/oauth2/start?rd={}", encoded("/tools/"));
    assert_eq!((page.status.as_u16(), page.links()[0].0.as_str()), (400, start.as_str()));
    let problem = stage.browser.fetch(&stage.url("/api")).await;
    assert_eq!(problem.status, 401);
    let login = problem.json()["login"].as_str().unwrap().to_owned();
    assert_eq!(login, format!("https://app.example/tools/oauth2/start?rd={}", encoded("/tools/api")));
    // A return path under the endpoints of this gateway is none.
    let authorization = begin(&stage.browser, &stage.url("/oauth2/start?rd=%2Ftools%2Foauth2%2Fsign_out")).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    assert_eq!(call_back(&stage.browser, &callback).await.header("location"), Some("/tools/"));
}

#[tokio::test]
async fn two_gateways_under_one_host_do_not_see_each_other_s_sessions() {
    let (tools, wiki) =
        (stage().await, Stage::with(|setup| setup.public_url = "https://app.example/wiki".into()).await);
    let browser = tools.gateway.browser();
    for (stage, path) in [(&tools, "/tools/a"), (&wiki, "/wiki/a")] {
        stage.gateway.introduce_to(&browser);
        let page = browser.log_in(&format!("https://app.example{path}"), "alice").await;
        assert_eq!(page.status, 200, "{}", page.text());
    }
    assert_eq!(browser.jar().beginning("app.example", "__Host-Http-vestibule").len(), 4);
    browser.jar().plant("app.example", "theme", "dark");
    for (stage, path) in [(&tools, "/tools/b"), (&wiki, "/wiki/b")] {
        stage.gateway.introduce_to(&browser);
        assert_eq!(browser.navigate_once(&format!("https://app.example{path}")).await.status, 200);
        assert_eq!(stage.upstream.last().header("cookie"), Some("theme=dark"));
        assert_eq!(stage.provider.hits(Endpoint::Token), 1);
    }
}
