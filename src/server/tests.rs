use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tower::service_fn;

use super::settings::{Limits, ListenAddress, SharedLimits};
use super::*;

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(50);

struct Ends {
    ends: mpsc::UnboundedSender<ConnectionEnd>,
    turned_away: mpsc::UnboundedSender<()>,
}

impl ConnectionObserver for Ends {
    fn opened(&self) {}

    fn turned_away(&self) {
        let _gone = self.turned_away.send(());
    }

    fn closed(&self, end: ConnectionEnd) {
        let _gone = self.ends.send(end);
    }
}

struct Server {
    address: std::net::SocketAddr,
    shutdown: Shutdown,
    ends: mpsc::UnboundedReceiver<ConnectionEnd>,
    turned_away: mpsc::UnboundedReceiver<()>,
    limits: SharedLimits,
    running: JoinHandle<()>,
}

fn limits() -> Limits {
    Limits {
        header_timeout: LONG,
        keep_alive: LONG,
        drain_delay: Duration::ZERO,
        drain_timeout: LONG,
        ..Limits::default()
    }
}

fn observer() -> (Arc<Ends>, mpsc::UnboundedReceiver<ConnectionEnd>, mpsc::UnboundedReceiver<()>) {
    let ((ends, ended), (turned_away, were)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    (Arc::new(Ends { ends, turned_away }), ended, were)
}

/// Serves with a function; paths are all it sees.
async fn serve_with<F, R>(limits: Limits, answer: F) -> Server
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = Listener::bind(&ListenAddress::Tcp("127.0.0.1:0".parse().unwrap())).await.unwrap();
    let address = listener.local_address().unwrap();
    let (observer, ends, turned_away) = observer();
    let limits = SharedLimits::new(limits);
    let shutdown = Shutdown::default();
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let running =
        tokio::spawn(serve(listener, SharedEntrance::default(), service, limits.clone(), observer, shutdown.clone()));
    Server { address, shutdown, ends, turned_away, limits, running }
}

async fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let peer = request.extensions().get::<ConnectionInfo>().unwrap().peer;
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let length = body.len();
    Response::new(format!("{path} {length} {}", peer.is_some()).into())
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).await.unwrap()
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// Reads until the bytes end with `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order() {
    let mut server = serve_with(limits(), echo).await;
    let mut stream = connect(&server).await;
    let pipelined = "GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz\
                     GET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(pipelined.as_bytes()).await.unwrap();
    let text = read_all(&mut stream).await;
    let positions: Vec<_> =
        ["/a 0 true", "/b 3 true", "/c 0 true"].iter().map(|line| text.find(line).unwrap()).collect();
    assert!(positions.is_sorted());
    assert_eq!(server.ends.recv().await, Some(ConnectionEnd::Finished));
}

#[tokio::test]
async fn sl_01_a_connection_that_sends_nothing_is_closed() {
    let mut server = serve_with(Limits { header_timeout: SHORT, ..limits() }, echo).await;
    let mut stream = connect(&server).await;
    assert_eq!(read_all(&mut stream).await, "");
    assert_eq!(server.ends.recv().await, Some(ConnectionEnd::HeaderTimeout));
}

#[tokio::test]
async fn sl_01_a_slow_header_is_cut_however_often_a_byte_comes() {
    let mut server = serve_with(Limits { header_timeout: SHORT, ..limits() }, echo).await;
    let (mut read, mut write) = connect(&server).await.into_split();
    let drip = tokio::spawn(async move {
        let mut tick = tokio::time::interval(SHORT / 10);
        while write.write_all(b"G").await.is_ok() {
            tick.tick().await;
        }
    });
    let mut nothing = Vec::new();
    let _reset_or_end = read.read_to_end(&mut nothing).await;
    assert_eq!(server.ends.recv().await, Some(ConnectionEnd::HeaderTimeout));
    drip.await.unwrap();
}

#[tokio::test]
async fn a_header_that_stalls_after_a_first_request_is_cut() {
    let mut server = serve_with(Limits { header_timeout: SHORT, ..limits() }, echo).await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut stream, "/a 0 true").await;
    stream.write_all(b"GET /b HT").await.unwrap();
    read_all(&mut stream).await;
    assert_eq!(server.ends.recv().await, Some(ConnectionEnd::HeaderTimeout));
}

#[tokio::test]
async fn sl_05_an_idle_connection_is_closed_after_its_own_deadline() {
    let mut server = serve_with(Limits { keep_alive: SHORT, ..limits() }, echo).await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(read_all(&mut stream).await.ends_with("/a 0 true"));
    assert_eq!(server.ends.recv().await, Some(ConnectionEnd::Finished));
}

#[tokio::test]
async fn no_deadline_runs_while_an_answer_is_made() {
    let (release, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, wait) = (Arc::clone(&release), Arc::clone(&released));
    let short = Limits { header_timeout: SHORT, keep_alive: SHORT, ..limits() };
    let server = serve_with(short, move |_| {
        let (inside, wait) = (Arc::clone(&inside), Arc::clone(&wait));
        async move {
            inside.notify_one();
            wait.notified().await;
            Response::new("late".into())
        }
    })
    .await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    release.notified().await;
    let mut idle = connect(&server).await;
    // The deadline of a connection that came later has passed: ours would have, too.
    assert_eq!(read_all(&mut idle).await, "");
    released.notify_one();
    assert!(read_all(&mut stream).await.ends_with("late"));
}

#[tokio::test]
async fn hd_23_more_than_hyper_reads_is_431_and_counted() {
    let mut server = serve_with(limits(), echo).await;
    let mut stream = connect(&server).await;
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n").as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "\r\n").await.starts_with("HTTP/1.1 431"));
    assert_eq!(server.ends.recv().await, Some(ConnectionEnd::Malformed(Malformed::TooLarge)));
}

#[tokio::test]
async fn hp_08_hp_11_what_the_parser_refuses_is_400_and_counted() {
    for bad in [
        "GET / HTTP/1.1\r\nHost: a\r\n folded: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx: a\0b\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        let mut server = serve_with(limits(), echo).await;
        let mut stream = connect(&server).await;
        stream.write_all(bad.as_bytes()).await.unwrap();
        assert!(read_until(&mut stream, "\r\n").await.starts_with("HTTP/1.1 400"), "{bad}");
        assert_eq!(server.ends.recv().await, Some(ConnectionEnd::Malformed(Malformed::Syntax)), "{bad}");
    }
    let mut server = serve_with(limits(), echo).await;
    let mut stream = connect(&server).await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    assert_eq!(server.ends.recv().await, Some(ConnectionEnd::Malformed(Malformed::Http2)));
}

#[tokio::test]
async fn sl_07_a_half_closed_connection_gets_its_answer() {
    let server = serve_with(limits(), echo).await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(read_all(&mut stream).await.ends_with("/half 0 true"));
}

#[tokio::test]
async fn sl_08_a_browser_that_has_gone_ends_what_runs_for_it() {
    struct OnDrop(mpsc::UnboundedSender<()>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            let _gone = self.0.send(());
        }
    }
    let (dropped, mut was_dropped) = mpsc::unbounded_channel();
    let begun = Arc::new(Notify::new());
    let inside = Arc::clone(&begun);
    let mut server = serve_with(limits(), move |_| {
        let (guard, inside) = (OnDrop(dropped.clone()), Arc::clone(&inside));
        async move {
            let _guard = guard;
            inside.notify_one();
            std::future::pending().await
        }
    })
    .await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    begun.notified().await;
    drop(stream);
    assert_eq!(was_dropped.recv().await, Some(()));
    assert_eq!(server.ends.recv().await, Some(ConnectionEnd::Broken));
}

#[tokio::test]
async fn sl_03_a_peer_that_does_not_read_is_cut() {
    let mut server = serve_with(Limits { keep_alive: SHORT, ..limits() }, |_| async {
        Response::new(Bytes::from(vec![b'x'; 64 << 20]).into())
    })
    .await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(server.ends.recv().await, Some(ConnectionEnd::WriteTimeout));
}

#[tokio::test]
async fn a_shutdown_lets_requests_finish_and_closes_idle_connections() {
    let (inside, wait) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begun, release) = (Arc::clone(&inside), Arc::clone(&wait));
    let server = serve_with(limits(), move |_| {
        let (inside, wait) = (Arc::clone(&inside), Arc::clone(&wait));
        async move {
            inside.notify_one();
            wait.notified().await;
            Response::new("finished".into())
        }
    })
    .await;
    let mut idle = connect(&server).await;
    let mut busy = connect(&server).await;
    busy.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    begun.notified().await;
    server.shutdown.begin();
    assert_eq!(read_all(&mut idle).await, "");
    assert!(TcpStream::connect(server.address).await.is_err());
    release.notify_one();
    let text = read_all(&mut busy).await;
    assert!(text.ends_with("finished") && text.contains("connection: close"), "{text}");
    server.running.await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut() {
    let begun = Arc::new(Notify::new());
    let inside = Arc::clone(&begun);
    let mut server = serve_with(Limits { drain_timeout: SHORT, ..limits() }, move |_| {
        inside.notify_one();
        std::future::pending()
    })
    .await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    begun.notified().await;
    server.shutdown.begin_at_once();
    server.running.await.unwrap();
    assert_eq!(server.ends.recv().await, Some(ConnectionEnd::Drained));
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test]
async fn a_unix_socket_has_no_peer_address() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.sock");
    let listener = Listener::bind(&ListenAddress::Unix(path.clone())).await.unwrap();
    let service = service_fn(|request| async { Ok::<_, Infallible>(echo(request).await) });
    tokio::spawn(serve(
        listener,
        SharedEntrance::default(),
        service,
        SharedLimits::new(limits()),
        observer().0,
        Shutdown::default(),
    ));
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(b"GET /u HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("/u 0 false"));
}

#[tokio::test]
async fn a_service_is_cloned_for_requests_but_made_once() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let count = Arc::new(AtomicUsize::new(0));
    let (paths, counted) = (Arc::clone(&seen), Arc::clone(&count));
    let server = serve_with(limits(), move |request| {
        paths.lock().unwrap().push(request.uri().path().to_owned());
        counted.fetch_add(1, Ordering::Relaxed);
        async { Response::new("".into()) }
    })
    .await;
    let mut stream = connect(&server).await;
    stream
        .write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    read_all(&mut stream).await;
    assert_eq!(*seen.lock().unwrap(), ["/1", "/2"]);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_tunnel_has_no_deadline_and_keeps_its_place_until_the_drain_is_over() {
    let limits = Limits { connections: 1, header_timeout: SHORT, keep_alive: SHORT, drain_timeout: SHORT, ..limits() };
    let mut server = serve_with(limits, |mut request| async move {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut tunnel = TokioIo::new(upgraded.await.unwrap());
            while let Ok(byte) = tunnel.read_u8().await {
                tunnel.write_all(&[byte]).await.unwrap();
            }
        });
        let answer = Response::builder().status(101).header("upgrade", "echo").header("connection", "upgrade");
        answer.body(Full::default()).unwrap()
    })
    .await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n").await.unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 101"));
    assert_eq!(server.ends.recv().await, Some(ConnectionEnd::Finished));
    assert_eq!(read_all(&mut connect(&server).await).await, "", "nobody else is let in while the tunnel stands");
    server.shutdown.begin();
    server.running.await.unwrap();
    assert!(server.ends.try_recv().is_err());
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
}

mod limits;
