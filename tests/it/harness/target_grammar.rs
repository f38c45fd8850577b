//! Request targets as browsers and attackers write them, out of a seed.

use super::seeded::Seeded;

/// Segments that can be read in one way only.
const CALM: [&str; 40] = [
    "public",
    "admin",
    "a",
    "b.html",
    "publicX",
    "public.admin",
    "PUBLIC",
    "Public",
    "%70ublic",
    "publi%63",
    "%61dmi%6E",
    "~user",
    "%7Euser",
    "%7euser",
    ".hidden",
    "a.",
    "a..b",
    "...",
    "-_.~",
    "%C3%A9",
    "%c3%a9",
    "e%CC%81",
    "%E2%80%AE",
    "%EF%BC%8F",
    "%EF%BC%8E%EF%BC%8E",
    "%252e%252e",
    "%252f",
    "%255c",
    "%25",
    "%2500",
    "a%20b",
    "%20",
    "a+b",
    "!$&'()*,=:@",
    "%21%24%26%27%28%29%2A%2B%2C%3D%3A%40",
    "%3f",
    "%23",
    "%22%3C%3E%5E%60%7B%7C%7D",
    "[x]",
    "index.php",
];

/// Segments, and pieces of them, that two servers could read differently.
const WILD: [&[u8]; 56] = [
    b".",
    b"..",
    b"%2e",
    b"%2E",
    b"%2e%2e",
    b"%2E.",
    b".%2e",
    b"..;",
    b"..;a=b",
    b"%2e%2e;x",
    b"..%3B",
    b"..%00",
    b"..%20",
    b"..%09",
    b"..%2f",
    b"..%5c",
    b"..\\",
    b"\\",
    b"\\..\\",
    b"%5C",
    b"%5c..%5c",
    b"%2f",
    b"%2F",
    b"%2f..%2f",
    b"a%2Fb",
    b"a%2f..",
    b";",
    b";a=b",
    b"public;x",
    b"%3b",
    b"%3Bx",
    b"",
    b"%00",
    b"a%00",
    b"%0a",
    b"%0d%0a",
    b"%09",
    b"%7f",
    b"\x01",
    b"\t",
    b" ",
    b"%c0%ae%c0%ae",
    b"%c0%af",
    b"%e0%80%af",
    b"%f8%80%80%80%af",
    b"%ff",
    b"%ed%a0%80",
    b"\xc3\xa9",
    b"\xe3\x80\x82\xe3\x80\x82",
    b"\xff",
    b"%",
    b"%4",
    b"%zz",
    b"%u002e%u002e",
    b"{x}|^`\"<>",
    b"oauth2",
];

const QUERIES: [&str; 10] = [
    "?",
    "?a=b",
    "?/public/",
    "?/../public/",
    "?x=%2F..%2f%c3",
    "?a?b",
    "?%00",
    "?a;b&c",
    "?x=http://evil/",
    "?\u{e9}",
];

const FRAGMENTS: [&str; 3] = ["#", "#/public/", "#/../admin"];

/// How a target is written before its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A path (RFC 9112 §3.2.1).
    Origin,
    /// A URI that names the very host (§3.2.2).
    Absolute,
    /// Anything that names somebody else, or nobody.
    Confused,
}

/// One target, and what its parts are.
#[derive(Clone, Debug)]
pub struct GeneratedTarget {
    pub form: Form,
    pub bytes: Vec<u8>,
    /// The path as it was written.
    pub path: Vec<u8>,
    /// The query with its `?`.
    pub query: Vec<u8>,
}

impl GeneratedTarget {
    /// The next one for `host`.
    pub fn next(random: &mut Seeded, host: &str) -> Self {
        let mut path = path(random);
        let query = if random.once_in(4) { random.pick(&QUERIES).as_bytes().to_vec() } else { Vec::new() };
        let fragment = if random.once_in(30) { random.pick(&FRAGMENTS) } else { "" };
        let (form, start) = start(random, host);
        if random.once_in(200) {
            // A path like any other, unless somebody takes it for the rest of a URI.
            path = [b"//", host.as_bytes(), &path].concat();
        }
        let bytes = [start.as_bytes(), &path, &query, fragment.as_bytes()].concat();
        Self { form, bytes, path, query }
    }

    /// For a message of a test.
    pub fn shown(&self) -> String {
        self.bytes.escape_ascii().to_string()
    }
}

fn start(random: &mut Seeded, host: &str) -> (Form, String) {
    match random.below(40) {
        0 | 1 => (Form::Absolute, format!("http://{host}")),
        2 => (Form::Absolute, format!("https://{}:443", host.to_uppercase())),
        3 => {
            let confused = [
                "http://evil.example".to_owned(),
                format!("http://{host}@evil.example"),
                format!("http://evil@{host}"),
                format!("http://evil:x@{host}"),
                format!("http://@{host}"),
                format!("http://{host}:444"),
                format!("http://{host}.evil.example"),
                format!("ftp://{host}"),
                format!("javascript://{host}"),
                host.to_owned(),
                format!("evil@{host}"),
                format!("{host}:443"),
                "*".to_owned(),
                "http:".to_owned(),
                "http:/".to_owned(),
                "http://".to_owned(),
            ];
            (Form::Confused, confused[random.below(confused.len())].clone())
        }
        _ => (Form::Origin, String::new()),
    }
}

fn path(random: &mut Seeded) -> Vec<u8> {
    let mut path = Vec::new();
    let wild = random.once_in(2);
    // Half of all paths are below the public place, or look so.
    if random.once_in(2) {
        path.extend_from_slice(b"/public");
    }
    for _ in 0..1 + random.below(4) {
        path.extend_from_slice(separator(random, wild));
        let calm = random.pick(&CALM);
        match random.below(8) {
            0 | 1 if wild => path.extend_from_slice(random.pick(&WILD)),
            2 if wild => {
                path.extend_from_slice(calm.as_bytes());
                path.extend_from_slice(random.pick(&WILD));
            }
            3 => spell(random, calm, &mut path),
            _ => path.extend_from_slice(calm.as_bytes()),
        }
    }
    if random.once_in(5) {
        path.push(b'/');
    }
    if random.once_in(200) {
        let length = 100 + random.below(9000);
        path.extend(std::iter::repeat_n(b'x', length));
    }
    path
}

fn separator(random: &mut Seeded, wild: bool) -> &'static [u8] {
    if wild && random.once_in(10) {
        random.pick(&[b"//", b"/./", b"/../", b"\\", b"%2f", b"%2F", b"%5c", b"/;/", b"///", b"/%2e/"])
    } else {
        b"/"
    }
}

/// The same segment with some characters written as triplets, in either case.
fn spell(random: &mut Seeded, segment: &str, path: &mut Vec<u8>) {
    for &byte in segment.as_bytes() {
        match random.below(4) {
            0 if byte.is_ascii_alphanumeric() && !segment.contains('%') => {
                path.extend_from_slice(format!("%{byte:02x}").as_bytes());
            }
            1 if byte.is_ascii_alphanumeric() && !segment.contains('%') => {
                path.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
            _ => path.push(byte),
        }
    }
}
