use super::*;

fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
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
