//! Every answer as bytes: what it says, what it must never say, how it is headed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;

const HOSTILE: &str = "</script>'\"><img src=x onerror=alert(1)>";

fn pages(text: &str) -> PagesSettings {
    PagesSettings { name: Some(text.to_owned()), contact: Some(text.to_owned()) }
}

fn context<'a>(pages: &'a PagesSettings, text: &'a str) -> RefusalContext<'a> {
    RefusalContext {
        account: Some(text),
        again: Some(text),
        sign_out: Some(text),
        login: Some(text),
        ..RefusalContext::new(pages, text, "wiki.example.com")
    }
}

/// Every page there is, with `text` wherever a page takes text.
fn every_page(text: &str) -> Vec<(Code, Response<Bytes>)> {
    let pages = pages(text);
    let context = context(&pages, text);
    let fields = [(text.to_owned(), text.to_owned())];
    let mut every: Vec<_> = Code::ALL.iter().map(|code| (*code, page(*code, &context))).collect();
    every.extend([
        (Code::LoginLoop, login_loop(&context, text)),
        (Code::LoginContinues, login_continues(&context, text)),
        (Code::SignOutConfirm, sign_out_confirm(&context, text, Some(text))),
        (Code::SignOutConfirm, sign_out_confirm(&context, text, None)),
        (Code::SignedOut, signed_out(&context, text)),
        (Code::FrameUnauthenticated, frame_unauthenticated(&context, text)),
        (Code::FormNotSent, form_not_sent(&context, text, Some(("/", &fields)), false)),
        (Code::FormNotSent, form_not_sent(&context, text, None, true)),
        (Code::StoreUnavailable, form_kept(Code::StoreUnavailable, &context, "/", &fields, false)),
    ]);
    every
}

fn text(response: &Response<Bytes>) -> &str {
    str::from_utf8(response.body()).unwrap()
}

#[test]
fn the_policy_names_the_hash_of_the_style_as_the_browser_sees_it() {
    for (code, response) in every_page("/x") {
        let (_, rest) = text(&response).split_once("<style>").unwrap();
        let (style, _) = rest.split_once("</style>").unwrap();
        let hash = STANDARD.encode(Sha256::digest(style));
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        let for_frames = matches!(code, Code::FrameUnauthenticated | Code::FormNotSent);
        let in_frame = for_frames && policy.contains("'self'");
        let ancestors = if in_frame { "'self'" } else { "'none'" };
        assert_eq!(
            policy,
            format!("default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors {ancestors}; base-uri 'none'")
        );
    }
}

#[test]
fn ru_15_ad_05_nothing_that_is_shown_becomes_markup() {
    for (code, response) in every_page(HOSTILE) {
        let page = text(&response);
        for markup in ["<img", "</script", "'\"", "\">'", "onerror=alert(1)>"] {
            assert!(!page.contains(markup), "{markup} in {}:\n{page}", code.as_str());
        }
        assert!(page.contains("&lt;img") || page.contains("&#60;img"), "{}:\n{page}", code.as_str());
    }
}

#[test]
fn ru_18_no_page_links_to_another_site() {
    for link in ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"] {
        for (_, response) in every_page(link) {
            let page = text(&response);
            for attribute in ["href=\"", "action=\"", "url="] {
                for value in page.split(attribute).skip(1) {
                    assert!(value.starts_with("/\""), "{value}");
                }
            }
        }
    }
}

#[test]
fn every_page_can_be_read_by_everybody() {
    for (code, response) in every_page("/x") {
        let page = text(&response);
        let title = code.description().title.replace('\'', "&#39;");
        for needed in [
            "<!doctype html>",
            "<html lang=\"en\">",
            "name=\"viewport\"",
            &format!("<title>{title} – /x</title>"),
            "<main>",
            &format!("<h1>{title}</h1>"),
            "prefers-color-scheme: dark",
            ":focus-visible",
            "Request id: <code>/x</code>",
        ] {
            assert!(page.contains(needed), "{needed} in {}:\n{page}", code.as_str());
        }
        assert_eq!(page.matches("<h1>").count(), 1);
        assert!(!page.contains("<script"));
    }
}

#[test]
fn every_answer_is_kept_by_nobody_and_says_its_status() {
    let pages = PagesSettings::default();
    let context = context(&pages, "/x");
    let problems = Code::ALL.iter().map(|code| (*code, problem(*code, &context)));
    for (code, response) in problems.chain(every_page("/x")) {
        let headers = response.headers();
        let Description { status, retry_after, .. } = code.description();
        assert_eq!(response.status(), status);
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers.get(RETRY_AFTER).cloned(), retry_after.map(HeaderValue::from));
        let challenge = (status == 401).then_some("Bearer realm=\"wiki.example.com\"");
        assert_eq!(headers.get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap()), challenge);
        let form = text(&response).contains("<form");
        assert_eq!(headers[REFERRER_POLICY] == "same-origin", form);
    }
}

#[test]
fn a_program_gets_a_problem() {
    let pages = PagesSettings::default();
    let login = "https://wiki.example.com/oauth2/start?rd=%2F";
    let context = RefusalContext { login: Some(login), ..RefusalContext::new(&pages, "0123", "wiki.example.com") };
    let response = problem(Code::Unauthenticated, &context);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    let expected = json!({
        "title": "Please log in", "status": 401, "code": "unauthenticated", "login": login, "request_id": "0123",
    });
    assert_eq!(body, expected);
}

#[test]
fn a_host_that_is_none_forges_no_challenge() {
    let pages = PagesSettings::default();
    let response = problem(Code::Unauthenticated, &RefusalContext::new(&pages, "0123", "a\", Basic realm=\"b"));
    assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
}

#[test]
fn the_forbidden_page_names_the_account_and_offers_another() {
    let pages = PagesSettings::default();
    let context = RefusalContext {
        account: Some("ann@example.com"),
        sign_out: Some("/oauth2/sign_out"),
        switch_account: Some("/oauth2/start?rd=%2Fwiki&prompt=select_account"),
        ..RefusalContext::new(&pages, "0123", "wiki.example.com")
    };
    for code in [Code::Forbidden, Code::GroupsOverage] {
        let response = page(code, &context);
        let page = text(&response);
        assert!(page.contains("<strong>ann@example.com</strong>"));
        assert!(page.contains("href=\"/oauth2/sign_out\">Log out"), "{page}");
        assert!(page.contains("href=\"/oauth2/start?rd=%2Fwiki&#38;prompt=select_account\">Use another"), "{page}");
    }
}

#[test]
fn ru_19_the_page_for_a_form_keeps_its_fields_and_posts_to_the_same_place() {
    let pages = PagesSettings::default();
    let context = RefusalContext::new(&pages, "0123", "wiki.example.com");
    let fields = [("title".to_owned(), "a \"b\" <c>".to_owned()), ("text".to_owned(), "one\r\ntwo".to_owned())];
    let response = form_not_sent(&context, "/oauth2/start?rd=%2F", Some(("/edit?id=1&v=2", &fields)), false);
    let page = text(&response);
    assert!(page.contains("method=\"post\" action=\"/edit?id=1&#38;v=2\""), "{page}");
    assert!(page.contains("name=\"title\" value=\"a &#34;b&#34; &#60;c&#62;\""), "{page}");
    assert!(page.contains("target=\"_blank\" rel=\"noopener\""));
    assert_eq!(response.headers()[REFERRER_POLICY], "same-origin");

    // What cannot be the target of a form must not send it elsewhere.
    for form in [None, Some(("//evil", &fields[..])), Some(("/a?b=\\c", &fields[..]))] {
        let without = form_not_sent(&context, "/oauth2/start", form, false);
        assert!(!text(&without).contains("<form") && !text(&without).contains("a &#34;b"), "{}", text(&without));
    }
    let framed = form_not_sent(&context, "/oauth2/start", Some(("/edit", &fields)), true);
    let policy = framed.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'self'"), "{policy}");
}

#[test]
fn a_form_that_cannot_be_passed_on_right_now_is_kept_without_a_login() {
    let pages = PagesSettings::default();
    let context = RefusalContext::new(&pages, "0123", "wiki.example.com");
    let fields = [("title".to_owned(), "a".to_owned())];
    let response = form_kept(Code::RefreshUnavailable, &context, "/edit", &fields, false);
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(RETRY_AFTER));
    assert_eq!(response.headers()[REFERRER_POLICY], "same-origin");
    let page = text(&response);
    assert!(page.contains("action=\"/edit\"") && page.contains("value=\"a\""), "{page}");
    assert!(!page.contains("Log in"), "{page}");
}

#[test]
fn signing_out_is_asked_for_by_a_button_that_keeps_the_way_back() {
    let pages = PagesSettings::default();
    let context = RefusalContext::new(&pages, "0123", "wiki.example.com");
    let response = sign_out_confirm(&context, "/oauth2/sign_out", Some("/wiki"));
    let page = text(&response);
    assert!(page.contains("<form method=\"post\" action=\"/oauth2/sign_out\">"));
    assert!(page.contains("<input type=\"hidden\" name=\"rd\" value=\"/wiki\">"));
}

#[test]
fn a_strict_cookie_is_followed_by_a_page_that_moves_on_by_itself() {
    let pages = PagesSettings::default();
    let context = RefusalContext::new(&pages, "0123", "wiki.example.com");
    let response = login_continues(&context, "/wiki?a=1&b=2");
    assert!(text(&response).contains("<meta http-equiv=\"refresh\" content=\"0;url=/wiki?a=1&#38;b=2\">"));
}

#[test]
fn the_challenge_of_a_step_up_says_what_is_wanted_and_cannot_be_broken_out_of() {
    let pages = PagesSettings::default();
    for (acr, max_age, expected) in [
        (Some("gold"), Some(900), "acr_values=\"gold\", max_age=\"900\""),
        (Some("gold"), None, "acr_values=\"gold\""),
        (None, Some(0), "max_age=\"0\""),
        (Some("a\", realm=\"evil"), Some(1), "max_age=\"1\""),
        (Some("a\\"), Some(1), "max_age=\"1\""),
    ] {
        let wanted = StepUp { acr: acr.map(str::to_owned), max_age: max_age.map(std::time::Duration::from_secs) };
        let context =
            RefusalContext { step_up: Some(&wanted), ..RefusalContext::new(&pages, "id", "wiki.example.com") };
        for response in [
            problem(Code::StepUpRequired, &context),
            frame_unauthenticated(&context, "/oauth2/start"),
            form_not_sent(&context, "/oauth2/start", None, false),
        ] {
            let challenge =
                format!("Bearer realm=\"wiki.example.com\", error=\"insufficient_user_authentication\", {expected}");
            assert_eq!(response.headers()[WWW_AUTHENTICATE].to_str().unwrap(), challenge);
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
        }
    }
    // A step-up that came to nothing asks nobody for a token.
    let failed = page(Code::StepUpRequired, &RefusalContext::new(&pages, "id", "wiki.example.com"));
    assert!(!failed.headers().contains_key(WWW_AUTHENTICATE));
}
