//! Answers that are lost on their way: what only reads is asked again, once, and what changes something never.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Carries bytes to a server and back, and takes answers away when it is told to.
struct Snatcher {
    address: ServerAddress,
    /// So many answers more are taken, each together with its connection.
    takes: Arc<AtomicUsize>,
}

impl Snatcher {
    async fn before(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = ServerAddress { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
        let (host, takes) = (server.host.clone(), Arc::new(AtomicUsize::new(0)));
        let taking = Arc::clone(&takes);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect((host.as_str(), PORT)).await.unwrap();
                tokio::spawn(carry(near, far, Arc::clone(&taking)));
            }
        });
        Self { address, takes }
    }

    async fn store(&self) -> Arc<RedisStore> {
        let topology = RedisTopology::Single { server: self.address.clone(), database: 0 };
        let settings = RedisSettings { topology, access: RedisAccess::default() };
        let store = RedisStore::new(settings, NAMESPACE, Arc::new(TestClock::at(1_800_000_000))).unwrap();
        let mut state = store.state();
        let hears = state.wait_for(|state| state.deaf_since.is_none());
        tokio::time::timeout(Duration::from_secs(10), hears).await.expect("it hears in time").unwrap();
        store
    }
}

async fn carry(near: TcpStream, far: TcpStream, takes: Arc<AtomicUsize>) {
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
    let asking = async { tokio::io::copy(&mut near_in, &mut far_out).await };
    let answering = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = far_in.read(&mut buffer).await {
            let more = |left: usize| left.checked_sub(1);
            // The connection goes with it.
            if takes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok() {
                return;
            }
            let _ = near_out.write_all(&buffer[..read]).await;
        }
    };
    tokio::select! { _ = asking => {}, () = answering => {} }
}

/// How often the server was given a command.
fn calls(server: &RedisServer, command: &str) -> usize {
    let stats = server.cli(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rd_05_a_read_whose_answer_is_lost_is_asked_once_more_and_a_write_is_not() {
    let server = RedisServer::start();
    let snatcher = Snatcher::before(&server).await;
    let store = snatcher.store().await;
    let take = |answers| snatcher.takes.store(answers, Ordering::SeqCst);
    assert!(store.put_once(MarkerKey([1; 16]), Timestamp::MAX).await.unwrap());
    assert_eq!(store.load(key(1)).await.unwrap(), None, "the scripts are known by now");
    let loads = calls(&server, "evalsha");
    take(1);
    assert_eq!(store.load(key(1)).await.unwrap(), None);
    assert_eq!(calls(&server, "evalsha"), loads + 2);
    // Nobody knows whether this one was put up. It was, and so it refuses.
    let sets = calls(&server, "set");
    take(1);
    assert!(store.put_once(MarkerKey([2; 16]), Timestamp::MAX).await.is_err());
    assert_eq!(calls(&server, "set"), sets + 1);
    assert!(!store.put_once(MarkerKey([2; 16]), Timestamp::MAX).await.unwrap());
}
