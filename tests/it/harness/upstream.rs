//! An application that records what reaches it, byte for byte, and answers as told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::behaviour::Behaviour;
use super::counter::Counter;
use super::received::Received;
use super::scripted_server::{Script, ScriptedServer};

type Answering = Box<dyn FnMut(&Received) -> Behaviour + Send>;
type AnsweringEarly = Box<dyn FnMut(&Received) -> Option<Behaviour> + Send>;

pub struct RecordingUpstream {
    server: ScriptedServer,
    recorder: Arc<Recorder>,
}

struct Recorder {
    hits: Counter,
    finished: Counter,
    requests: Mutex<Vec<Received>>,
    answering: Mutex<Answering>,
    at_head: Mutex<Option<AnsweringEarly>>,
}

impl RecordingUpstream {
    /// Answers 200 with the text `upstream` until told otherwise; a WebSocket handshake gets an echo.
    pub async fn start() -> Self {
        let recorder = Arc::new(Recorder {
            hits: Counter::default(),
            finished: Counter::default(),
            requests: Mutex::new(Vec::new()),
            answering: Mutex::new(Box::new(ordinary)),
            at_head: Mutex::new(None),
        });
        Self { server: ScriptedServer::start(Arc::clone(&recorder) as Arc<dyn Script>).await, recorder }
    }

    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// For the key `target`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// From here on requests are answered by `answering`.
    pub fn answer(&self, answering: impl FnMut(&Received) -> Behaviour + Send + 'static) {
        *self.recorder.answering.lock().unwrap() = Box::new(answering);
    }

    /// The next request is answered so, those after it as before. Takes part in order: the last one told is next.
    pub fn answer_once(&self, behaviour: Behaviour) {
        let mut answering = self.recorder.answering.lock().unwrap();
        let mut before = std::mem::replace(&mut *answering, Box::new(ordinary));
        let mut once = Some(behaviour);
        *answering = Box::new(move |received| once.take().unwrap_or_else(|| before(received)));
    }

    /// Answers at the head, without reading the body; `None` goes on as usual.
    pub fn answer_at_head(&self, answering: impl FnMut(&Received) -> Option<Behaviour> + Send + 'static) {
        *self.recorder.at_head.lock().unwrap() = Some(Box::new(answering));
    }

    /// How many requests have begun to arrive: heads, not connections.
    pub fn hits(&self) -> usize {
        self.recorder.hits.value()
    }

    pub async fn hits_reach(&self, wanted: usize) {
        self.recorder.hits.reaches(wanted).await;
    }

    /// Waits until so many requests are in `requests`, whole or broken off.
    pub async fn requests_reach(&self, wanted: usize) {
        self.recorder.finished.reaches(wanted).await;
    }

    /// The requests whose body has ended or broken off, in that order.
    pub fn requests(&self) -> Vec<Received> {
        self.recorder.requests.lock().unwrap().clone()
    }

    pub fn last(&self) -> Received {
        self.requests().pop().expect("nothing has reached the upstream")
    }

    /// Forgets the requests so far; `hits` goes on counting.
    pub fn forget(&self) {
        self.recorder.requests.lock().unwrap().clear();
    }

    pub const fn connections(&self) -> &Counter {
        self.server.connections()
    }

    pub const fn disconnections(&self) -> &Counter {
        self.server.disconnections()
    }

    /// Nobody listens any more.
    pub async fn stop(&mut self) {
        self.server.stop().await;
    }
}

impl Script for Recorder {
    fn at_head(&self, received: &Received) -> Option<Behaviour> {
        self.hits.increase();
        let behaviour = self.at_head.lock().unwrap().as_mut()?(received)?;
        self.requests.lock().unwrap().push(received.clone());
        self.finished.increase();
        Some(behaviour)
    }

    fn answer(&self, received: &Received) -> Behaviour {
        self.requests.lock().unwrap().push(received.clone());
        self.finished.increase();
        // One that broke off is not answered; a behaviour meant for the next must not be used up by it.
        if received.complete { self.answering.lock().unwrap()(received) } else { Behaviour::Close }
    }
}

fn ordinary(received: &Received) -> Behaviour {
    if received.all("upgrade").iter().any(|value| value.eq_ignore_ascii_case("websocket")) {
        Behaviour::WebSocketEcho
    } else {
        Behaviour::text(200, "upstream")
    }
}

/// Opens the WebSocket that `received` asks for and sends every message back.
pub async fn echo_web_socket(stream: &mut TcpStream, received: &Received) -> std::io::Result<()> {
    let accept = derive_accept_key(received.header("sec-websocket-key").unwrap_or_default().as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
    Ok(())
}
