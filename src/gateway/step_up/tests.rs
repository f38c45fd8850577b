use super::*;

const NOW: u64 = 1_800_000_000;
const LEEWAY: Duration = Duration::from_secs(60);

const fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn wanted(acr: Option<&str>, max_age: Option<u64>) -> StepUp {
    StepUp { acr: acr.map(str::to_owned), max_age: max_age.map(Duration::from_secs) }
}

/// A login of long ago by our clock.
const fn proof<'a>(acr: Option<&'a str>, auth_time: Option<u64>) -> LoginProof<'a> {
    let auth_time = match auth_time {
        Some(seconds) => Some(at(seconds)),
        None => None,
    };
    LoginProof { acr, auth_time, begun: at(NOW - 3_000) }
}

#[test]
fn cf_12_acr_is_the_same_string_or_it_is_not_enough() {
    let wanted = wanted(Some("urn:mfa"), None);
    let missing = |acr| shortfall(&wanted, proof(acr, None), at(NOW), LEEWAY);
    assert_eq!(missing(Some("urn:mfa")), None);
    for acr in [None, Some(""), Some("urn:mf"), Some("urn:mfa "), Some("URN:MFA"), Some("urn:mfa urn:pwd"), Some("2")] {
        assert_eq!(missing(acr), Some("acr"), "{acr:?}");
    }
}

#[test]
fn cf_12_max_age_ends_on_the_second_and_needs_an_auth_time() {
    let wanted = wanted(None, Some(900));
    let missing = |auth_time| shortfall(&wanted, proof(None, auth_time), at(NOW), LEEWAY);
    for (auth_time, enough) in [
        (Some(NOW), true),
        (Some(NOW - 900), true),
        (Some(NOW - 901), false),
        (Some(0), false),
        (None, false),
        (Some(NOW + 60), true),
        (Some(NOW + 61), false),
        (Some(u64::MAX), false),
    ] {
        assert_eq!(missing(auth_time).is_none(), enough, "{auth_time:?}");
    }
}

#[test]
fn both_must_hold_where_both_are_wanted() {
    let wanted = wanted(Some("gold"), Some(900));
    let missing = |acr, auth_time| shortfall(&wanted, proof(acr, auth_time), at(NOW), LEEWAY);
    assert_eq!(missing(Some("gold"), Some(NOW - 10)), None);
    assert_eq!(missing(None, Some(NOW - 10)), Some("acr"));
    assert_eq!(missing(Some("gold"), Some(NOW - 1_000)), Some("auth-time"));
    assert_eq!(missing(Some("gold"), None), Some("auth-time"));
}

#[test]
fn a_login_of_just_now_is_fresh_within_the_leeway_however_small_max_age_is() {
    let wanted = wanted(None, Some(1));
    let missing = |begun, auth_time, now| {
        let proof = LoginProof { acr: None, auth_time: Some(at(auth_time)), begun: at(begun) };
        shortfall(&wanted, proof, at(now), LEEWAY).is_some()
    };
    assert!(!missing(NOW, NOW - 40, NOW), "the provider's clock is behind");
    assert!(!missing(NOW, NOW - 5, NOW + 60), "the page takes its time");
    assert!(missing(NOW, NOW - 5, NOW + 61), "and then it is over");
    assert!(missing(NOW, NOW - 62, NOW), "this one was not fresh when it came");
    assert!(missing(NOW + 61, NOW - 5, NOW), "and a session from the future proves nothing");
}
