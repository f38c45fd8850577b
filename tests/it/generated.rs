//! The properties of `fuzz/src` for input that is made to come close to what matters, and shrunk when one does not hold.

use proptest::prelude::*;

use crate::properties;

/// Segments and separators of paths, ambiguous ones among them.
fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => "[a-zA-Z0-9._~-]{0,6}",
        2 => "(%[0-9a-fA-F]{2}|[a-z.]){0,4}",
        1 => "%2[eEfF]|%5[cC]|%3[bB]|%25|%00|%C3%A9|%c0%ae|%ff|\\.\\.|\\.|;a=b|\u{e9}|\\\\|%|%4|\\*",
        1 => "[!$&'()*+,;=:@?#\"<>^`{|} ]{1,3}",
    ];
    let separator = prop_oneof![8 => "/", 1 => "//|/\\./|/\\.\\./|%2f|/\\*\\*|\\\\"];
    prop::collection::vec((separator, segment), 0..6)
        .prop_map(|pieces| pieces.into_iter().map(|(separator, segment)| separator + &segment).collect())
}

fn holds(name: &str, text: &str) {
    properties::run(name, text.as_bytes());
}

proptest! {
    #[test]
    fn a_canonical_path_is_a_fixed_point_without_anything_ambiguous(path in path()) {
        holds("canonical_path", &path);
    }

    #[test]
    fn pa_22_a_pattern_matches_as_its_plainest_reading(
        pattern in "(GET |POST |get )?(/(a|b|\\*|%61|A)){0,3}/?(/\\*\\*)?",
        path in "(GET |POST )?(/(a|b|\\*|%61|A)){0,4}/?",
    ) {
        holds("pattern", &format!("{pattern}\n{path}"));
    }

    #[test]
    fn a_pattern_and_a_path_of_any_kind_agree(pattern in path(), path in path()) {
        holds("pattern", &format!("{pattern}\n{path}"));
    }

    #[test]
    fn ru_01_a_return_path_stays_on_our_own_origin(path in path(), query in "(\\?[ -~]{0,8})?(#[ -~]{0,4})?") {
        holds("return_path", &format!("{path}{query}"));
    }

    #[test]
    fn ru_01_a_return_path_is_never_one_of_our_endpoints(
        start in "/(o|%6f|%6F|O)(a|%61)uth(2|%32)|/(a|%61)pp(/|%2f|//)oauth2",
        rest in path(),
    ) {
        holds("return_path", &format!("{start}{rest}"));
    }

    #[test]
    fn ru_01_a_return_path_has_no_other_authority(
        start in "[/\\\\\t\n\r :.]{1,4}",
        name in "(evil\\.example|@evil|evil@good\\.example|%2e%2e|\u{ff0f}evil|:80)",
        rest in path(),
    ) {
        holds("return_path", &format!("{start}{name}{rest}"));
    }

    #[test]
    fn hd_01_no_header_that_is_left_folds_to_a_managed_one(
        names in prop::collection::vec(
            "[xX][-_.!~ ]?(auth|Forwarded|real|wiki|amzn|ssl)[-_.+^]?(user|for|ip|oidc|client)?[-_.]?[a-z0-9]{0,4}\
             |(remote|REMOTE|cf|oidc|proxy|forwarded|authorization)[-_.*]?[a-z]{0,6}",
            1..8,
        ),
    ) {
        holds("header_folding", &names.join("\n"));
    }

    #[test]
    fn ck_04_a_cookie_is_found_by_its_very_name(
        lines in prop::collection::vec(
            "((__Host-Http-vestibule|__host-http-vestibule|vestibule-dev-80|a|\\$Version| |\u{2000}|\"|\t)\
             (-login)?=?[a-z=\" ]{0,4}(; |;|,|;  )?){0,5}",
            1..4,
        ),
    ) {
        holds("cookie_header", &lines.join("\n"));
    }

    #[test]
    fn a_host_has_one_form(host in "(https?://)?([a-zA-Z0-9_-]{1,4}\\.?){0,3}(\\[[0-9a-f:.]{0,8}\\])?(:[0-9+]{0,5})?(/[a-z.]{0,3}){0,2}") {
        holds("host", &host);
    }
}
