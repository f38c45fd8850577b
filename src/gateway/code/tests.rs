use std::collections::{BTreeMap, HashSet};

use super::*;

/// The table of the page: code to status.
fn documented() -> BTreeMap<&'static str, &'static str> {
    let page = include_str!("../../../docs/errors.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 6, "five cells and the end of the line: {row}");
        assert!(cells[..5].iter().all(|cell| !cell.is_empty()), "{row}");
        (cells[0].trim_end_matches('`'), cells[1])
    })
    .collect()
}

#[test]
fn the_page_lists_every_code_with_its_status_and_no_other() {
    let documented = documented();
    for code in Code::ALL {
        let status = code.description().status.as_u16().to_string();
        assert_eq!(documented.get(code.as_str()), Some(&status.as_str()), "{} in docs/errors.md", code.as_str());
    }
    assert_eq!(documented.len(), Code::ALL.len(), "a code is on the page that does not exist, or twice");
}

#[test]
fn names_are_kebab_case_and_all_different() {
    let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
}

#[test]
fn only_what_may_pass_by_asks_to_come_again() {
    for code in Code::ALL {
        let description = code.description();
        let passing = matches!(description.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(description.retry_after.is_some(), passing, "{}", code.as_str());
    }
}

#[test]
fn what_people_read_is_a_sentence() {
    for code in Code::ALL {
        let Description { title, explanation, .. } = code.description();
        assert!(!title.ends_with('.') && title.starts_with(char::is_uppercase), "{title}");
        assert!(explanation.ends_with('.') && !explanation.contains("  "), "{explanation}");
    }
}

#[test]
fn every_status_of_the_table_is_one() {
    let internal: Vec<_> =
        Code::ALL.iter().filter(|code| code.description().status == StatusCode::INTERNAL_SERVER_ERROR).collect();
    assert_eq!(internal, [&Code::Internal]);
}
