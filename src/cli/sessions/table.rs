//! Sessions for people at a terminal.

use serde_json::Value;

use super::super::Output;

const HEADINGS: [&str; 7] = ["USER", "SUBJECT", "HOST", "LOGGED IN (UTC)", "LAST USED", "ENDS", "ID"];

/// A row for each, in columns that are as wide as they must be.
pub(super) fn list(sessions: &[Value], output: &mut Output<'_>) {
    if sessions.is_empty() {
        output.line("There is no such session.");
        return;
    }
    let rows: Vec<[String; 7]> = sessions
        .iter()
        .map(|session| {
            let time = |name: &str| text(session, name).get(..16).unwrap_or_default().replace('T', " ");
            [
                text(session, "user"),
                text(session, "subject"),
                text(session, "host"),
                time("begun"),
                time("last_used"),
                time("expires"),
                text(session, "id"),
            ]
        })
        .collect();
    let headings = HEADINGS.map(str::to_owned);
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| {
            let cells = std::iter::once(&headings).chain(&rows).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();
    for row in std::iter::once(&headings).chain(&rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        output.line(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// One, a line for each thing that is known.
pub(super) fn one(session: &Value, output: &mut Output<'_>) {
    for (name, key) in [
        ("id", "id"),
        ("user", "user"),
        ("subject", "subject"),
        ("issuer", "issuer"),
        ("provider", "provider"),
        ("host", "host"),
        ("logged in", "begun"),
        ("last used", "last_used"),
        ("ends", "expires"),
        ("access token until", "access_token_expires"),
        ("renewable", "renewable"),
        ("scopes", "scopes"),
        ("used for", "upstreams"),
    ] {
        output.line(format_args!("{name:<20}{}", text(session, key)).to_string().trim_end());
    }
}

fn text(session: &Value, name: &str) -> String {
    match session.get(name) {
        Some(Value::String(text)) => plain(text),
        Some(Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(plain).collect::<Vec<_>>().join(" "),
        _ => "-".to_owned(),
    }
}

/// What others have chosen must not move the cursor, colour the terminal or turn the line around.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let breaks = matches!(character, '\u{2028}' | '\u{2029}');
        if character.is_control() || turns || breaks {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(show: impl FnOnce(&mut Output<'_>)) -> String {
        let (mut out, mut error) = (Vec::new(), Vec::new());
        show(&mut Output::new(&mut out, &mut error));
        String::from_utf8(out).unwrap()
    }

    fn session(user: Option<&str>) -> Value {
        json!({
            "id": "ab12", "user": user, "subject": "s-1", "issuer": "https://id.example.com", "provider": "corp",
            "host": "wiki.example.com", "begun": "2026-12-01T08:00:00Z", "last_used": "2026-12-01T08:05:59Z",
            "expires": "2026-12-01T18:00:00Z", "access_token_expires": null, "renewable": true,
            "scopes": ["openid", "email"], "upstreams": [],
        })
    }

    #[test]
    fn columns_are_aligned() {
        let shown = written(|output| list(&[session(Some("alice")), session(None)], output));
        let wanted = "\
USER   SUBJECT  HOST              LOGGED IN (UTC)   LAST USED         ENDS              ID
alice  s-1      wiki.example.com  2026-12-01 08:00  2026-12-01 08:05  2026-12-01 18:00  ab12
-      s-1      wiki.example.com  2026-12-01 08:00  2026-12-01 08:05  2026-12-01 18:00  ab12
";
        assert_eq!(shown, wanted);
        assert_eq!(written(|output| list(&[], output)), "There is no such session.\n");
    }

    #[test]
    fn one_session_is_told_line_by_line() {
        let shown = written(|output| one(&session(Some("alice")), output));
        for line in
            ["user                alice\n", "access token until  -\n", "renewable           yes\n", "openid email\n"]
        {
            assert!(shown.contains(line), "{line}: {shown}");
        }
    }

    #[test]
    fn lg_04_a_hostile_name_does_nothing_to_the_terminal() {
        let shown = written(|output| list(&[session(Some("a\u{1b}[2J\r\n\u{202e}b\u{9b}"))], output));
        assert_eq!(shown.lines().count(), 2);
        assert!(shown.contains("a\\u{1b}[2J\\u{d}\\u{a}\\u{202e}b\\u{9b}"), "{shown}");
    }
}
