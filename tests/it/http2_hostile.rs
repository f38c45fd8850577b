//! Frames that no honest client sends: floods are cut, what breaks the rules reaches no application, others go on.

use std::time::Duration;

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, FrameConnection, GOAWAY, HEADERS, PING, PREFACE, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, get,
};
use crate::harness::gateway::{Setup, Stage};
use crate::harness::patiently;
use crate::harness::provider::TestProvider;
use vestibule::server::settings::Limits;

const SHORT: Duration = Duration::from_millis(200);

async fn stage(limit: impl FnOnce(&mut Limits)) -> Stage {
    let adjust = |setup: &mut Setup| {
        setup.listen = "h2c = true".to_owned();
        setup.upstream = "public = [\"/public/**\"]".to_owned();
    };
    Stage::with_settings(TestProvider::start().await, adjust, |settings| limit(&mut settings.listen.limits)).await
}

/// Everybody else is served as before.
async fn others_are_served(stage: &Stage) {
    let mut other = FrameConnection::open(stage.gateway.address).await;
    other.request(1, &get(b"/public/other", &[])).await;
    assert_eq!(other.status(1).await, Some(200));
}

/// The error code of the GOAWAY with which a flood ends, or `None` when the connection is closed without one.
async fn flooded(stage: &Stage, mut connection: FrameConnection, burst: &[u8], times: usize) -> Option<u32> {
    for _ in 0..times {
        connection.send(burst).await;
    }
    let end = connection.next_of(&[GOAWAY]).await.map(|goaway| goaway.error());
    others_are_served(stage).await;
    end
}

const ENHANCE_YOUR_CALM: u32 = 11;
const PROTOCOL_ERROR: u32 = 1;

#[tokio::test]
async fn h2_01_rapid_resets_end_the_connection() {
    let stage = stage(|_| {}).await;
    let connection = FrameConnection::open(stage.gateway.address).await;
    let head = get(b"/public/x", &[]);
    let mut burst = Vec::new();
    for stream in (1..4_001).step_by(2) {
        burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
        burst.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    assert!(matches!(flooded(&stage, connection, &burst, 1).await, None | Some(ENHANCE_YOUR_CALM)));
    assert!(stage.upstream.hits() < 200, "{} of 2,000 were begun", stage.upstream.hits());
}

#[tokio::test]
async fn h2_02_making_us_reset_ends_the_connection() {
    for wrong in ["window", "data", "priority"] {
        let stage = stage(|_| {}).await;
        let connection = FrameConnection::open(stage.gateway.address).await;
        let head = get(b"/public/x", &[]);
        let mut burst = Vec::new();
        for stream in (1..4_001_u32).step_by(2) {
            burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
            burst.extend(match wrong {
                "window" => frame(WINDOW_UPDATE, 0, stream, &[0; 4]),
                "data" => frame(DATA, 0, stream, b"x"),
                _ => frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[1]].concat()),
            });
        }
        let end = flooded(&stage, connection, &burst, 1).await;
        assert!(matches!(end, None | Some(ENHANCE_YOUR_CALM | PROTOCOL_ERROR | 5)), "{wrong}: {end:?}");
    }
}

#[tokio::test]
async fn h2_03_endless_continuations_end_the_connection() {
    let stage = stage(|_| {}).await;
    let mut connection = FrameConnection::open(stage.gateway.address).await;
    connection.send(&frame(HEADERS, END_STREAM, 1, &get(b"/public/x", &[]))).await;
    let more = frame(CONTINUATION, 0, 1, &block(&[(b"x-more", &[b'a'; 4000])]));
    assert!(matches!(flooded(&stage, connection, &more, 500).await, None | Some(ENHANCE_YOUR_CALM | PROTOCOL_ERROR)));
    let mut connection = FrameConnection::open(stage.gateway.address).await;
    connection.send(&frame(HEADERS, END_STREAM, 1, &get(b"/public/x", &[]))).await;
    let nothing = frame(CONTINUATION, 0, 1, b"").repeat(1000);
    assert!(matches!(flooded(&stage, connection, &nothing, 20).await, None | Some(ENHANCE_YOUR_CALM | PROTOCOL_ERROR)));
    assert!(stage.upstream.requests().iter().all(|received| received.target == "/public/other"));
}

#[tokio::test]
async fn h2_05_floods_of_pings_and_settings_whose_answers_nobody_reads_cost_nothing() {
    let stage = stage(|limits| limits.header_timeout = SHORT).await;
    for burst in [frame(PING, 0, 0, &[7; 8]).repeat(2_000), frame(SETTINGS, 0, 0, &[]).repeat(2_000)] {
        let mut connection = FrameConnection::open(stage.gateway.address).await;
        for _ in 0..50 {
            connection.send(&burst).await;
        }
        others_are_served(&stage).await;
        // It has no request, so it is closed whatever it sends.
        patiently("the end", async { while connection.next().await.is_some() {} }).await;
    }
}

#[tokio::test]
async fn h2_06_a_bomb_of_headers_is_refused_without_being_unpacked() {
    let stage = stage(|_| {}).await;
    let mut connection = FrameConnection::open(stage.gateway.address).await;
    // One field of 4,000 bytes is remembered, and then named thousands of times by one byte each.
    let mut bomb = get(b"/public/x", &[]);
    bomb.extend([0x40, 6]);
    bomb.extend(b"x-bomb");
    bomb.extend([127, 0xa1, 0x1e]);
    bomb.extend([b'a'; 4000]);
    bomb.extend([0xbe; 8_000]);
    connection.request(1, &bomb).await;
    let answer = connection.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
    assert!(answer.is_none_or(|frame| frame.kind != HEADERS || frame.payload.first() != Some(&0x88)));
    others_are_served(&stage).await;
    assert_eq!(stage.upstream.hits(), 1);
}

#[tokio::test]
async fn h2_07_an_answer_without_a_window_is_not_kept_for_ever() {
    let stage = stage(|limits| limits.keep_alive = SHORT).await;
    stage.upstream.answer(|received| match received.target.as_str() {
        "/public/large" => Behaviour::text(200, &"x".repeat(1 << 20)),
        _ => Behaviour::text(200, "upstream"),
    });
    let mut connection = FrameConnection::connect(stage.gateway.address).await;
    // SETTINGS_INITIAL_WINDOW_SIZE is 0, and no window is ever opened.
    connection.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat()).await;
    for stream in [1, 3, 5] {
        connection.request(stream, &get(b"/public/large", &[])).await;
    }
    patiently("the end", async { while connection.next().await.is_some() {} }).await;
    others_are_served(&stage).await;
    assert_eq!(stage.gateway.limit_reached("write-timeout"), 1);
}

#[tokio::test]
async fn h2_08_fields_of_the_connection_reach_no_application() {
    let stage = stage(|_| {}).await;
    for field in [
        (&b"connection"[..], &b"close"[..]),
        (b"connection", b"x-user"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"close"),
        (b"te", b"gzip"),
    ] {
        let mut connection = FrameConnection::open(stage.gateway.address).await;
        connection.request(1, &get(b"/public/x", &[field])).await;
        let status = connection.status(1).await;
        assert!(matches!(status, None | Some(400)), "{field:?}: {status:?}");
    }
    assert_eq!(stage.upstream.hits(), 0);
    others_are_served(&stage).await;
}

#[tokio::test]
async fn h2_09_names_values_and_pseudo_headers_are_read_strictly() {
    let stage = stage(|_| {}).await;
    let fields: [(&[u8], &[u8]); 4] =
        [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"app.example"), (b":path", b"/public/x")];
    let with = |more: &[(&[u8], &[u8])]| block(&[&fields[..], more].concat());
    let instead = |name: &[u8], value: &[u8]| {
        block(&fields.map(|(known, old)| if known == name { (known, value) } else { (known, old) }))
    };
    let without = |name: &[u8]| block(&fields.iter().copied().filter(|(known, _)| *known != name).collect::<Vec<_>>());
    for (what, head) in [
        ("upper case", with(&[(b"X-User", b"a")])),
        ("a space in a name", with(&[(b"x user", b"a")])),
        ("a colon in a name", with(&[(b"x:user", b"a")])),
        ("a line end in a name", with(&[(b"x\r\nuser", b"a")])),
        ("a line end in a value", with(&[(b"x-user", b"a\r\nb: c")])),
        ("NUL in a value", with(&[(b"x-user", b"a\0b")])),
        ("a second path", with(&[(b":path", b"/other")])),
        ("a late pseudo-header", with(&[(b"x-a", b"b"), (b":status", b"200")])),
        ("an unknown pseudo-header", block(&[&fields[..], &[(b":user", b"root")]].concat())),
        ("no path", without(b":path")),
        ("no scheme", without(b":scheme")),
        ("no method", without(b":method")),
        ("an empty path", instead(b":path", b"")),
        ("a path of two slashes", instead(b":path", b"//public/x")),
        ("a path without a slash", instead(b":path", b"public/x")),
        ("a star", instead(b":path", b"*")),
        ("a space in the path", instead(b":path", b"/public/x y")),
        ("another host", with(&[(b"host", b"evil.example")])),
        ("an authority with user information", instead(b":authority", b"u@app.example")),
        ("another scheme", instead(b":scheme", b"evil")),
    ] {
        let mut connection = FrameConnection::open(stage.gateway.address).await;
        connection.request(1, &head).await;
        let status = connection.status(1).await;
        assert!(matches!(status, None | Some(400 | 405)), "{what}: {status:?}");
    }
    assert_eq!(stage.upstream.hits(), 0);
    others_are_served(&stage).await;
}

#[tokio::test]
async fn h2_11_a_body_of_another_length_is_no_request() {
    let stage = stage(|_| {}).await;
    for (length, data) in [(&b"10"[..], &b"12345"[..]), (b"3", b"12345"), (b"x", b"12345")] {
        let mut connection = FrameConnection::open(stage.gateway.address).await;
        let head = block(&[
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", b"app.example"),
            (b":path", b"/public/x"),
            (b"content-length", length),
        ]);
        connection.send(&frame(HEADERS, END_HEADERS, 1, &head)).await;
        connection.send(&frame(DATA, END_STREAM, 1, data)).await;
        let status = connection.status(1).await;
        assert!(status.is_none_or(|status| status >= 400), "{length:?}: {status:?}");
    }
    // It may have heard the beginning, but never a whole request.
    assert!(stage.upstream.requests().is_empty());
    others_are_served(&stage).await;
}

#[tokio::test]
async fn sl_01_whoever_begins_and_says_no_more_is_closed() {
    let stage = stage(|limits| limits.header_timeout = SHORT).await;
    for beginning in [&b""[..], b"PRI *", &PREFACE[..23], PREFACE, &[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()] {
        let mut connection = FrameConnection::connect(stage.gateway.address).await;
        connection.send(beginning).await;
        patiently("the end", async { while connection.next().await.is_some() {} }).await;
    }
    // Half a header, however many frames come beside it.
    let mut connection = FrameConnection::open(stage.gateway.address).await;
    connection.send(&frame(HEADERS, END_STREAM, 1, &get(b"/public/x", &[]))).await;
    patiently("the end", async { while connection.next().await.is_some() {} }).await;
    assert_eq!(stage.upstream.hits(), 0);
    assert_eq!(stage.gateway.limit_reached("header-timeout"), 6);
}

#[tokio::test]
async fn a_stream_beyond_the_limit_waits_or_is_refused_and_one_that_is_reset_is_not_asked_for_on() {
    let stage = stage(|limits| limits.streams = 2).await;
    let (open, held) = gate();
    stage.upstream.answer_once(Behaviour::text(200, "late").held(held));
    let mut connection = FrameConnection::open(stage.gateway.address).await;
    connection.request(1, &get(b"/public/held", &[])).await;
    stage.upstream.hits_reach(1).await;
    connection.send(&frame(HEADERS, END_HEADERS, 3, &get(b"/public/open", &[]))).await;
    connection.request(5, &get(b"/public/refused", &[])).await;
    let refused = connection.next_of(&[RST_STREAM]).await.unwrap();
    assert_eq!((refused.stream, refused.error()), (5, 7), "REFUSED_STREAM");
    connection.send(&frame(SETTINGS, ACK, 0, &[])).await;
    connection.send(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())).await;
    open.open();
    others_are_served(&stage).await;
    assert!(stage.upstream.requests().iter().all(|received| received.target != "/public/refused"));
}
