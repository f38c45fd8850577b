//! One request as one line, written by hand: a formatter of tracing costs more than the whole rest of a request's
//! bookkeeping.

use std::io::Write as _;
use std::net::IpAddr;

use super::escape::{push_json, push_number};
use super::settings::LogFormat;

/// What the access log says about one request; no header, no query, no name of a person unless it is chosen.
#[derive(Clone, Copy, Debug)]
pub struct AccessLine<'a> {
    /// When the request came, in milliseconds since the Unix epoch.
    pub time_millis: u64,
    /// The request's id.
    pub request_id: &'a str,
    /// The user agent's address; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The canonical host, or empty when there was none to speak of.
    pub host: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path; anything from the first `?` on is cut.
    pub path: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// The reason code, when the gateway itself has answered.
    pub code: Option<&'a str>,
    /// The upstream's name, when one was chosen.
    pub upstream: Option<&'a str>,
    /// The person: a pseudonym, or the user name where that is configured.
    pub user: Option<&'a str>,
    /// The reference of the session.
    pub session: Option<&'a str>,
    /// Bytes of the answer's body that were sent.
    pub bytes: Option<u64>,
    /// From the head of the request to the head of the answer, in microseconds.
    pub duration_micros: u64,
}

impl AccessLine<'_> {
    /// Appends the line and its line end.
    pub(super) fn write(&self, format: LogFormat, stamp: &mut Stamp, out: &mut Vec<u8>) {
        match format {
            LogFormat::Json => self.write_json(stamp, out),
            LogFormat::Text => self.write_text(stamp, out),
        }
        out.push(b'\n');
    }

    fn path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    fn write_json(&self, stamp: &mut Stamp, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"time":""#);
        stamp.push(out, self.time_millis);
        out.extend_from_slice(br#"","target":"access"#);
        let mut text = |name: &str, value: &str| {
            out.extend_from_slice(br#"",""#);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(br#"":""#);
            push_json(out, value);
        };
        text("request_id", self.request_id);
        text("host", self.host);
        text("method", self.method);
        text("path", self.path());
        for (name, value) in self.optional() {
            if let Some(value) = value {
                text(name, value);
            }
        }
        if let Some(peer) = self.peer {
            text("peer", "");
            push_address(out, peer);
        }
        out.extend_from_slice(br#"","status":"#);
        push_number(out, u64::from(self.status));
        if let Some(bytes) = self.bytes {
            out.extend_from_slice(br#","bytes":"#);
            push_number(out, bytes);
        }
        out.extend_from_slice(br#","duration_us":"#);
        push_number(out, self.duration_micros);
        out.push(b'}');
    }

    /// `TIME METHOD HOST PATH STATUS name=value …`; a value that holds more than a word is quoted, so that nobody can
    /// write a field of their own.
    fn write_text(&self, stamp: &mut Stamp, out: &mut Vec<u8>) {
        stamp.push(out, self.time_millis);
        for value in [self.method, self.host, self.path()] {
            out.push(b' ');
            push_word(out, value);
        }
        out.push(b' ');
        push_number(out, u64::from(self.status));
        let mut name = |name: &str| {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
        };
        name("duration_us");
        push_number(out, self.duration_micros);
        let optional = self.optional();
        for (label, value) in optional.into_iter().chain([("request_id", Some(self.request_id))]) {
            let Some(value) = value else { continue };
            out.push(b' ');
            out.extend_from_slice(label.as_bytes());
            out.push(b'=');
            push_word(out, value);
        }
        if let Some(bytes) = self.bytes {
            out.extend_from_slice(b" bytes=");
            push_number(out, bytes);
        }
        if let Some(peer) = self.peer {
            out.extend_from_slice(b" peer=");
            push_address(out, peer);
        }
    }

    const fn optional(&self) -> [(&'static str, Option<&str>); 4] {
        [("code", self.code), ("upstream", self.upstream), ("user", self.user), ("session", self.session)]
    }
}

fn push_word(out: &mut Vec<u8>, value: &str) {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\');
    if !value.is_empty() && value.bytes().all(plain) {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    out.push(b'"');
    push_json(out, value);
    out.push(b'"');
}

fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            for (position, octet) in address.octets().into_iter().enumerate() {
                if position > 0 {
                    out.push(b'.');
                }
                push_number(out, u64::from(octet));
            }
        }
        IpAddr::V6(address) => {
            // Writing to memory does not fail.
            let _ = write!(out, "{address}");
        }
    }
}

/// A time stamp (RFC 3339, UTC, milliseconds) that is worked out once a second.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    second: u64,
    text: String,
}

impl Stamp {
    fn push(&mut self, out: &mut Vec<u8>, millis: u64) {
        let second = millis / 1000;
        if self.text.is_empty() || second != self.second {
            self.second = second;
            self.text.clear();
            let known = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
            let known = known.unwrap_or(jiff::Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%S.").to_string();
            self.text.push_str(&known);
        }
        out.extend_from_slice(self.text.as_bytes());
        let fraction = millis % 1000;
        for digit in [fraction / 100, fraction / 10 % 10, fraction % 10] {
            out.push(b'0' + digit as u8);
        }
        out.push(b'Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> AccessLine<'static> {
        AccessLine {
            time_millis: 1_795_254_540_007,
            request_id: "0123abcd",
            peer: Some("::ffff:192.0.2.7".parse().unwrap()),
            host: "wiki.example.com",
            method: "GET",
            path: "/page",
            status: 200,
            code: None,
            upstream: Some("wiki"),
            user: Some("p:1a2b"),
            session: Some("s:3c4d"),
            bytes: Some(1234),
            duration_micros: 567,
        }
    }

    fn written(line: &AccessLine<'_>, format: LogFormat) -> String {
        let mut out = Vec::new();
        line.write(format, &mut Stamp::default(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_json_line_holds_every_field() {
        let read: serde_json::Value = serde_json::from_str(&written(&line(), LogFormat::Json)).unwrap();
        let expected = serde_json::json!({
            "time": "2026-11-21T09:49:00.007Z", "target": "access", "request_id": "0123abcd", "peer": "192.0.2.7",
            "host": "wiki.example.com", "method": "GET", "path": "/page", "status": 200, "upstream": "wiki",
            "user": "p:1a2b", "session": "s:3c4d", "bytes": 1234, "duration_us": 567,
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn fields_without_a_value_are_left_out() {
        let bare = AccessLine { peer: None, upstream: None, user: None, session: None, bytes: None, ..line() };
        let read: serde_json::Value = serde_json::from_str(&written(&bare, LogFormat::Json)).unwrap();
        assert_eq!(read.as_object().unwrap().len(), 8);
    }

    #[test]
    fn a_text_line_reads_from_left_to_right() {
        assert_eq!(
            written(&line(), LogFormat::Text),
            "2026-11-21T09:49:00.007Z GET wiki.example.com /page 200 duration_us=567 upstream=wiki user=p:1a2b \
             session=s:3c4d request_id=0123abcd bytes=1234 peer=192.0.2.7\n"
        );
    }

    #[test]
    fn lg_04_hostile_values_stay_on_one_line_and_in_their_field() {
        let hostile = "/a\r\n\x1b[2J\u{2028}\",\"status\":200,\"x\":\"";
        let line = AccessLine { path: hostile, user: Some("eve status=200 \u{85}"), ..line() };
        let json = written(&line, LogFormat::Json);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["path"], hostile);
        let text = written(&line, LogFormat::Text);
        assert!(text.contains(r#"user="eve status=200 \u0085""#), "{text}");
        for written in [json, text] {
            let body = written.strip_suffix('\n').unwrap();
            assert!(!body.contains(|character: char| character.is_control() || character == '\u{2028}'));
        }
    }

    #[test]
    fn lg_08_the_query_is_not_logged() {
        let line = AccessLine { path: "/callback?code=secret&state=secret", ..line() };
        for format in [LogFormat::Json, LogFormat::Text] {
            let written = written(&line, format);
            assert!(written.contains("/callback") && !written.contains("secret"), "{written}");
        }
    }

    #[test]
    fn the_stamp_follows_the_clock_forward_and_back() {
        let mut stamp = Stamp::default();
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_999, "2000-02-29T00:00:00.999Z"),
            (1_500, "1970-01-01T00:00:01.500Z"),
            (4_294_967_296_010, "2106-02-07T06:28:16.010Z"),
        ] {
            let mut out = Vec::new();
            stamp.push(&mut out, millis);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
