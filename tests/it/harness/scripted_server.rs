//! An HTTP/1.1 server written by hand, because it must be able to break every rule.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::behaviour::{Afterwards, Behaviour, perform};
use super::counter::Counter;
use super::received::Received;

/// Decides what happens to requests.
pub trait Script: Send + Sync + 'static {
    /// A head has come: `Some` answers at once, without reading the body, and ends the connection.
    fn at_head(&self, _received: &Received) -> Option<Behaviour> {
        None
    }

    /// The whole request has come, or all of it that there will be.
    fn answer(&self, received: &Received) -> Behaviour;
}

#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    accepting: JoinHandle<()>,
    connections: Counter,
    disconnections: Counter,
}

impl ScriptedServer {
    pub async fn start(script: Arc<dyn Script>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    pub fn on(listener: TcpListener, script: Arc<dyn Script>) -> Self {
        let address = listener.local_addr().unwrap();
        let (connections, disconnections) = (Counter::default(), Counter::default());
        let (opened, closed) = (connections.clone(), disconnections.clone());
        let accepting = tokio::spawn(async move {
            let mut serving = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                opened.increase();
                let (script, closed) = (Arc::clone(&script), closed.clone());
                serving.spawn(async move {
                    serve(stream, script.as_ref()).await;
                    closed.increase();
                });
            }
        });
        Self { address, accepting, connections, disconnections }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections have been opened.
    pub const fn connections(&self) -> &Counter {
        &self.connections
    }

    /// How many of them have come to their end.
    pub const fn disconnections(&self) -> &Counter {
        &self.disconnections
    }

    /// Stops listening and cuts every connection.
    pub async fn stop(&mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, script: &dyn Script) {
    stream.set_nodelay(true).unwrap();
    let mut pending = Vec::new();
    while let Some(mut received) = Received::read(&mut stream, &mut pending).await {
        if let Some(behaviour) = script.at_head(&received) {
            let _ = perform(behaviour, &mut stream, &received).await;
            return;
        }
        let waits = received.all("expect").iter().any(|value| value.eq_ignore_ascii_case("100-continue"));
        if waits && stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
            return;
        }
        received.read_body(&mut stream, &mut pending).await;
        let behaviour = script.answer(&received);
        if !received.complete {
            return;
        }
        match perform(behaviour, &mut stream, &received).await {
            Ok(Afterwards::GoOn) => {}
            Ok(Afterwards::Ended) | Err(_) => return,
        }
    }
}
