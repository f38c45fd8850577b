//! One event is one line: what could end a line, move a terminal's cursor or turn the direction of text is escaped.

/// Appends `value` as the inside of a JSON string: quotes and backslashes are escaped too.
pub(super) fn push_json(out: &mut Vec<u8>, value: &str) {
    if !any(value, |byte| !is_visible(byte) | (byte == b'"') | (byte == b'\\')) {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    for character in value.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            other => push_visible(out, other),
        }
    }
}

/// Appends text that is a finished line already, without its line end: its own quotes and backslashes stay.
pub(super) fn push_line(out: &mut Vec<u8>, line: &str) {
    if !any(line, |byte| !is_visible(byte)) {
        out.extend_from_slice(line.as_bytes());
        return;
    }
    for character in line.chars() {
        push_visible(out, character);
    }
}

const fn is_visible(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e)
}

/// Looks at every byte and stops at none: that is a few instructions for a whole value.
fn any(value: &str, is: impl Fn(u8) -> bool) -> bool {
    value.bytes().fold(false, |found, byte| found | is(byte))
}

/// Appends a decimal number.
pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut first = digits.len();
    for digit in digits.iter_mut().rev() {
        // The remainder of a division by ten fits a byte.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        first -= 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

/// Every character that is escaped lies in the basic plane, so one `\uXXXX` is enough: valid in JSON, readable in text.
fn push_visible(out: &mut Vec<u8>, character: char) {
    if !is_treacherous(character) {
        let mut bytes = [0; 4];
        out.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
        return;
    }
    match character {
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        other => {
            out.extend_from_slice(b"\\u");
            for shift in [12, 8, 4, 0] {
                let nibble = (u32::from(other) >> shift) & 0xf;
                out.push(char::from_digit(nibble, 16).map_or(b'0', |digit| digit as u8));
            }
        }
    }
}

/// Controls (C0, DEL, C1), line and paragraph separators, marks that reorder text, and the byte order mark.
fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &str) -> String {
        let mut out = Vec::new();
        push_json(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lg_04_what_ends_a_line_or_moves_a_cursor_is_escaped() {
        assert_eq!(json("a\r\nb\tc"), r"a\r\nb\tc");
        assert_eq!(json("\x1b[31m\u{9b}\x7f\0"), r"\u001b[31m\u009b\u007f\u0000");
        assert_eq!(json("\u{61c}\u{2028}\u{2029}\u{202e}\u{feff}"), r"\u061c\u2028\u2029\u202e\ufeff");
        assert_eq!(json(r#"","admin":"\"#), r#"\",\"admin\":\"\\"#);
    }

    #[test]
    fn json_reads_back_what_was_written() {
        for value in ["", "plain", "Zoë 🦀 \"q\" \\", "\u{0}\u{1f}\u{80}\u{2067}\r\n"] {
            let read: String = serde_json::from_str(&format!("\"{}\"", json(value))).unwrap();
            assert_eq!(read, value);
        }
    }

    #[test]
    fn a_finished_line_keeps_its_quotes() {
        let mut out = Vec::new();
        push_line(&mut out, "{\"path\":\"\\n\u{2028}\"}\u{1b}");
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"path":"\n\u2028"}\u001b"#);
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, 10, 65_535, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
