use super::*;

fn of(parts: &Parts) -> Audience {
    Audience::of(&parts.method, &parts.headers)
}

fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn a_navigation_is_what_a_person_sees_in_a_window() {
    let navigate = |dest| [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", dest)];
    assert_eq!(of(&parts("GET", &navigate("document"))), Audience::Navigation);
    assert_eq!(of(&parts("HEAD", &navigate("document"))), Audience::Navigation);
    assert_eq!(of(&parts("POST", &navigate("document"))), Audience::Form);
    assert_eq!(of(&parts("GET", &navigate("iframe"))), Audience::Frame);
    assert_eq!(of(&parts("GET", &navigate("image"))), Audience::Program);
    assert_eq!(of(&parts("OPTIONS", &navigate("document"))), Audience::Program);
    assert_eq!(of(&parts("GET", &[("accept", "text/html,application/xml;q=0.9")])), Audience::Navigation);
    assert_eq!(of(&parts("POST", &[("accept", "text/html")])), Audience::Form);
    assert_eq!(of(&parts("GET", &[("accept", "*/*")])), Audience::Program);
}

#[test]
fn scripts_and_prefetches_are_programs_whatever_they_accept() {
    for extra in [("x-requested-with", "XMLHttpRequest"), ("sec-purpose", "prefetch"), ("sec-fetch-mode", "cors")] {
        assert_eq!(of(&parts("GET", &[("accept", "text/html"), extra])), Audience::Program, "{extra:?}");
    }
    let prefetch =
        [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-purpose", "prefetch;prerender")];
    assert_eq!(of(&parts("GET", &prefetch)), Audience::Program);
}

#[test]
fn hd_15_authorization_is_one_clean_field() {
    assert!(authorization(&parts("GET", &[("authorization", "Bearer x")])).is_ok());
    assert!(authorization(&parts("GET", &[("authorization", "bearer\tx")])).is_err());
    assert!(authorization(&parts("GET", &[("authorization", "Bearer x"), ("authorization", "Bearer x")])).is_err());
}

#[test]
fn hp_10_the_host_is_given_once_and_agrees_with_the_target() {
    let read = |headers: &[(&str, &str)], uri: &str| {
        let mut parts = parts("GET", headers);
        parts.uri = uri.parse().unwrap();
        host(&parts, Scheme::Https, &RouteTable::new("/oauth2".to_owned())).map(|host| host.as_str().to_owned())
    };
    assert_eq!(read(&[("host", "A.example:443")], "/").as_deref(), Ok("a.example"));
    assert_eq!(read(&[("host", "a.example")], "http://a.example/x").as_deref(), Ok("a.example"));
    assert!(read(&[("host", "a.example")], "http://other/x").is_err());
    assert!(read(&[("host", "a.example")], "http://user@a.example/x").is_err());
    assert!(read(&[("host", "a.example"), ("host", "a.example")], "/").is_err());
    assert!(read(&[("host", "")], "/").is_err());
    assert!(read(&[], "/").is_err());
}
