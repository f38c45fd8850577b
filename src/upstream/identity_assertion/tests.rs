use super::*;
use http::HeaderName;
use serde_json::json;

use crate::clock::Timestamp;
use crate::secret::SealingKey;
use crate::signing_key::SigningAlgorithm;
use crate::upstream::identity_headers::IdentityHeaders;
use crate::upstream::template::HeaderTemplate;
use crate::upstream::{InvalidUpstream, ManagedSet, Principal, RequestValues, UpstreamError};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// A source of randomness that can fail.
struct Source(bool);

impl Entropy for Source {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        crate::entropy::SystemEntropy.fill(bytes)?;
        self.0.then_some(()).ok_or(NoEntropy)
    }
}

fn assertion(claims: &[&str], entropy: bool) -> IdentityAssertion {
    let settings = AssertionSettings {
        algorithm: SigningAlgorithm::EdDsa,
        audience: "wiki".into(),
        claims: claims.iter().map(|name| (*name).to_owned()).collect(),
    };
    let key = SigningKey::derive(&SealingKey::new([1; 32]), settings.algorithm).unwrap();
    IdentityAssertion::new(&settings, "https://a.example/x".into(), key, Arc::new(Noon), Arc::new(Source(entropy)))
}

fn alice() -> Identity {
    let claims =
        json!({ "sub": "other", "iss": "https://evil.example", "exp": 1, "department": { "name": "Zoë,\r\n" } });
    Identity { groups: Some(vec!["staff".into(), "a,b".into()]), ..crate::upstream::tests::alice(claims) }
}

fn claims_of(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn it_says_who_for_whom_and_for_how_long() {
    let names = ["username", "groups", "email", "department.name", "iss", "exp", "sub"];
    let mut said = claims_of(&assertion(&names, true).sign(&alice()).unwrap());
    let id = said.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 22);
    // Missing claims are missing; what is registered cannot be replaced by a provider.
    assert_eq!(
        said,
        json!({
            "iss": "https://a.example/x", "aud": "wiki", "sub": "s-1", "iat": 1_800_000_000, "exp": 1_800_000_060,
            "username": "alice", "groups": ["staff", "a,b"], "department.name": "Zoë,\r\n",
        })
    );
}

#[test]
fn no_two_are_the_same() {
    let assertion = assertion(&[], true);
    let ids: std::collections::HashSet<_> =
        (0..100).map(|_| claims_of(&assertion.sign(&alice()).unwrap())["jti"].to_string()).collect();
    assert_eq!(ids.len(), 100);
}

fn headers(assertion: Option<IdentityAssertion>) -> Result<IdentityHeaders, InvalidUpstream> {
    let template = HeaderTemplate::parse("{identity}").unwrap();
    let headers = [(HeaderName::from_static("x-identity"), template)];
    IdentityHeaders::new(&headers, &ManagedSet::new(headers.iter().map(|(name, _)| name)), assertion)
}

#[test]
fn it_is_sent_for_people_alone_and_never_left_out() {
    let request = RequestValues { id: "", host: "" };
    let identity = alice();
    let someone = Principal { identity: Some(&identity), ..Principal::default() };
    let good = headers(Some(assertion(&[], true))).unwrap();
    let value = good.list(&someone, request).unwrap().remove(0).1.unwrap();
    assert!(value.is_sensitive() && value.to_str().unwrap().split('.').count() == 3);
    assert_eq!(good.list(&Principal::default(), request).unwrap().remove(0).1, None);
    let failing = headers(Some(assertion(&[], false))).unwrap();
    let error = failing.list(&someone, request).unwrap_err();
    assert!(matches!(error, UpstreamError::Assertion(AssertionError::NoEntropy(_))));
    assert!(failing.list(&Principal::default(), request).is_ok());
    assert!(matches!(headers(None).unwrap_err(), InvalidUpstream::Unsigned(_)));
}

#[test]
fn more_than_a_header_takes_is_an_error() {
    let mut identity = alice();
    identity.groups = Some((0..2_000).map(|number| format!("group-{number}")).collect());
    let someone = Principal { identity: Some(&identity), ..Principal::default() };
    let headers = headers(Some(assertion(&["groups"], true))).unwrap();
    let error = headers.list(&someone, RequestValues { id: "", host: "" }).unwrap_err();
    assert!(matches!(error, UpstreamError::ClaimNotAHeader { .. }));
}
