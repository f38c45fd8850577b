use super::*;
use serde_json::json;

use crate::claims::Identity;
use crate::secret::AccessToken;

const REQUEST: RequestValues<'_> = RequestValues { id: "r-1", host: "wiki.example.com" };

fn alice() -> Identity {
    crate::upstream::tests::alice(json!({"note": "fine"}))
}

fn headers(templates: &[(&str, HeaderTemplate)]) -> IdentityHeaders {
    let named = |(name, template): &(&str, HeaderTemplate)| (HeaderName::try_from(*name).unwrap(), template.clone());
    let headers: Vec<_> = templates.iter().map(named).collect();
    let managed = ManagedSet::new(headers.iter().map(|(name, _)| name));
    IdentityHeaders::new(&headers, &managed, None).unwrap()
}

fn template(text: &str) -> HeaderTemplate {
    HeaderTemplate::parse(text).unwrap()
}

fn list(headers: &IdentityHeaders, principal: &Principal<'_>) -> Vec<(String, Option<String>)> {
    let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
    let lines = headers.list(principal, REQUEST).unwrap();
    lines.into_iter().map(|(name, value)| (name.as_str().to_owned(), value.map(text))).collect()
}

fn line(name: &str, value: Option<&str>) -> (String, Option<String>) {
    (name.to_owned(), value.map(str::to_owned))
}

#[test]
fn the_list_names_every_header_with_its_value_or_none() {
    let headers = headers(&[
        ("x-user", template("{claims.username}")),
        ("x-mail", template("{claims.email}")),
        ("x-fixed", template("fixed")),
    ]);
    let identity = alice();
    let token = AccessToken::new("at".into());
    let principal = Principal { identity: Some(&identity), access_token: Some(&token), ..Principal::default() };
    let fixed = line("x-fixed", Some("fixed"));
    assert_eq!(
        list(&headers, &principal),
        [line("x-user", Some("alice")), line("x-mail", None), fixed.clone(), line("authorization", None)]
    );
    assert_eq!(
        list(&headers, &Principal::default()),
        [line("x-user", None), line("x-mail", None), fixed, line("authorization", None)]
    );
    let with_token = self::headers(&[("authorization", template("Bearer {access_token}"))]);
    assert_eq!(list(&with_token, &principal), [line("authorization", Some("Bearer at"))]);
}

#[test]
fn authorization_is_sensitive_whatever_is_in_it() {
    let headers = headers(&[("authorization", template("Token 7")), ("x-fixed", template("7"))]);
    let lines = headers.list(&Principal::default(), REQUEST).unwrap();
    let sensitive: Vec<_> = lines.iter().map(|(_, value)| value.as_ref().unwrap().is_sensitive()).collect();
    assert_eq!(sensitive, [true, false]);
}

#[test]
fn hd_01_a_header_that_is_not_taken_off_requests_is_not_set_on_them() {
    let name = HeaderName::from_static("x-team");
    let headers = [(name.clone(), template("{claims.note}"))];
    let refused = IdentityHeaders::new(&headers, &ManagedSet::new([]), None).unwrap_err();
    assert!(matches!(refused, InvalidUpstream::Header(refused) if refused == name));
    assert!(IdentityHeaders::new(&headers, &ManagedSet::new([&name]), None).is_ok());
}

#[test]
fn a_required_header_refuses_a_person_and_nobody_else() {
    let headers = headers(&[("x-mail", template("{claims.email}").required())]);
    let mut identity = alice();
    let refused = headers.list(&Principal { identity: Some(&identity), ..Principal::default() }, REQUEST).unwrap_err();
    assert!(matches!(refused, UpstreamError::ClaimMissing { header } if header == "x-mail"));
    let nobody = list(&headers, &Principal::default());
    assert_eq!(nobody, [line("x-mail", None), line("authorization", None)]);
    identity.email = Some("alice@example.com".into());
    assert!(headers.list(&Principal { identity: Some(&identity), ..Principal::default() }, REQUEST).is_err());
    identity.email_verified = true;
    let principal = Principal { identity: Some(&identity), ..Principal::default() };
    assert_eq!(list(&headers, &principal)[0], line("x-mail", Some("alice@example.com")));
}

#[test]
fn a_repeated_list_stands_there_once_for_each_item() {
    let headers = headers(&[("x-group", template("{claims.groups}").repeated().unwrap())]);
    let mut identity = alice();
    let lines = list(&headers, &Principal { identity: Some(&identity), ..Principal::default() });
    let none = line("authorization", None);
    assert_eq!(lines, [line("x-group", Some("staff")), line("x-group", Some("admins")), none.clone()]);
    identity.groups = Some(vec![]);
    let lines = list(&headers, &Principal { identity: Some(&identity), ..Principal::default() });
    assert_eq!(lines, [line("x-group", None), none]);
}
