//! The sentinels: asked which server is the primary.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::Value;
use tokio::sync::Mutex;

use super::dial::{Connection, Dialer, within};
use super::failure::Failure;
use crate::session::settings::ServerAddress;

/// One sentinel has this long, its connection included.
const ANSWER: Duration = Duration::from_millis(400);

/// Those to be asked.
pub(super) struct Sentinels {
    addresses: Vec<ServerAddress>,
    primary: String,
    /// Which of them is asked first.
    first: AtomicUsize,
    /// The connection to the one that answered last.
    open: Mutex<Option<(usize, Connection)>>,
}

impl Sentinels {
    pub(super) fn new(addresses: Vec<ServerAddress>, primary: String) -> Self {
        Self { addresses, primary, first: AtomicUsize::new(0), open: Mutex::default() }
    }

    /// What the primary is called.
    pub(super) fn name(&self) -> &str {
        &self.primary
    }

    /// The server that the first sentinel to answer calls the primary.
    pub(super) async fn primary(&self, dialer: &Dialer) -> Result<ServerAddress, Failure> {
        let mut open = self.open.lock().await;
        let first = self.first.load(Ordering::Relaxed);
        let mut failure = Failure::NoPrimary;
        for turn in 0..self.addresses.len() {
            let place = (first + turn) % self.addresses.len();
            let Some(address) = self.addresses.get(place) else { break };
            // Taken out, so that one whose answer did not come is not used again.
            let kept = open.take().filter(|(kept, _)| *kept == place);
            let asked = within(ANSWER, async {
                let connection = match kept {
                    Some((_, connection)) => connection,
                    None => dialer.connect_to_sentinel(address).await?,
                };
                let primary = self.ask(&connection).await?;
                Ok((primary, connection))
            });
            match asked.await {
                Ok((primary, connection)) => {
                    self.first.store(place, Ordering::Relaxed);
                    *open = Some((place, connection));
                    return Ok(primary);
                }
                Err(Failure::Credentials | Failure::NoCredentials | Failure::NotPermitted) => {
                    failure = Failure::SentinelCredentials;
                }
                Err(why) => failure = why,
            }
        }
        Err(failure)
    }

    /// What the last one has said was of no use: another is asked first next time.
    pub(super) fn ask_another(&self) {
        self.first.fetch_add(1, Ordering::Relaxed);
    }

    async fn ask(&self, connection: &Connection) -> Result<ServerAddress, Failure> {
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.primary);
        let answer: Value = command.query_async(&mut connection.requests.clone()).await?;
        match answer {
            Value::Nil => Err(Failure::NoPrimary),
            answer => {
                let (host, port) = redis::from_redis_value(answer).map_err(|_| Failure::Malformed)?;
                Ok(ServerAddress { host, port })
            }
        }
    }
}
