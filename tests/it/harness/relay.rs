//! A wire between two programs that can be cut without either of them being told.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub struct Relay {
    pub address: SocketAddr,
    whole: Arc<watch::Sender<bool>>,
    _accepting: JoinSet<()>,
}

impl Relay {
    /// Carries bytes between whoever connects and `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let whole = Arc::new(watch::Sender::new(true));
        let mut accepting = JoinSet::new();
        let wire = Arc::clone(&whole);
        accepting.spawn(async move {
            let mut carrying = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let wire = wire.subscribe();
                carrying.spawn(async move {
                    // A wire that is cut lets nobody through: the connection is made, and nothing comes of it.
                    is_whole(&mut wire.clone()).await;
                    let Ok(far) = TcpStream::connect(target).await else { return };
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    tokio::join!(carry(near_in, far_out, wire.clone()), carry(far_in, near_out, wire));
                });
            }
        });
        Self { address, whole, _accepting: accepting }
    }

    /// Nothing passes any more, and no connection is closed.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// What was held back arrives.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn is_whole(wire: &mut watch::Receiver<bool>) {
    let _ = wire.wait_for(|whole| *whole).await;
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut wire: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(read) = from.read(&mut buffer).await else { return };
        is_whole(&mut wire).await;
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
