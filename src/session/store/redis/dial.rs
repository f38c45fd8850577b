//! A connection to one server: TCP, TLS, who we are, and a sign that it is there.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::failure::{Failure, RedisStoreError};
use crate::session::settings::{RedisAccess, RedisUser, ServerAddress};
use crate::tls;

/// TCP, TLS and the first answer together take no longer than this.
pub(super) const CONNECT: Duration = Duration::from_millis(900);

/// A task that lives as long as somebody holds this.
#[derive(Debug)]
pub(super) struct Running(JoinHandle<()>);

impl Running {
    pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection on which many requests are under way at once.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) requests: MultiplexedConnection,
    _driver: Arc<Running>,
}

struct Access {
    settings: RedisAccess,
    tls: Option<Arc<ClientConfig>>,
}

/// Makes connections with what one connects with at the moment.
pub(super) struct Dialer {
    access: ArcSwap<Access>,
    database: u16,
    editions: watch::Sender<u64>,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Dialer").field("database", &self.database).finish_non_exhaustive()
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Dialer {
    pub(super) fn new(access: RedisAccess, database: u16) -> Result<Self, RedisStoreError> {
        let access = ArcSwap::from_pointee(Access::new(access)?);
        Ok(Self { access, database, editions: watch::Sender::new(0) })
    }

    /// From here on connections are made with this.
    pub(super) fn renew(&self, access: RedisAccess) -> Result<(), RedisStoreError> {
        self.access.store(Arc::new(Access::new(access)?));
        self.editions.send_modify(|edition| *edition += 1);
        Ok(())
    }

    /// Says when there is something new to connect with.
    pub(super) fn editions(&self) -> watch::Receiver<u64> {
        self.editions.subscribe()
    }

    /// A connection for requests to a server that has answered.
    pub(super) async fn connect(&self, server: &ServerAddress) -> Result<Connection, Failure> {
        within(CONNECT, async {
            let access = self.access.load_full();
            let info = who_we_are(access.settings.user.as_ref()).set_db(i64::from(self.database));
            open(&access, server, &info).await
        })
        .await
    }

    /// A connection to a sentinel: with TLS where the servers have it, as a user of its own.
    pub(super) async fn connect_to_sentinel(&self, server: &ServerAddress) -> Result<Connection, Failure> {
        within(CONNECT, async {
            let access = self.access.load_full();
            open(&access, server, &who_we_are(access.settings.sentinel_user.as_ref())).await
        })
        .await
    }

    /// A connection on which a channel is listened to; the server has confirmed that.
    pub(super) async fn subscribe(&self, server: &ServerAddress, channel: &str) -> Result<PubSub, Failure> {
        within(CONNECT, async {
            let access = self.access.load_full();
            let stream = access.stream(server).await?;
            let mut subscription = PubSub::new(&who_we_are(access.settings.user.as_ref()), stream).await?;
            subscription.subscribe(channel).await?;
            Ok(subscription)
        })
        .await
    }
}

async fn open(access: &Access, server: &ServerAddress, info: &RedisConnectionInfo) -> Result<Connection, Failure> {
    let stream = access.stream(server).await?;
    // Deadlines are ours: they count from when the request was made.
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let (mut requests, driver) = MultiplexedConnection::new_with_config(info, stream, config).await?;
    let driver = Arc::new(Running::spawn(driver));
    redis::cmd("PING").exec_async(&mut requests).await?;
    Ok(Connection { requests, _driver: driver })
}

/// What a future makes of it within a time, or that it has not.
pub(super) async fn within<T>(
    limit: Duration,
    attempt: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(limit, attempt).await.unwrap_or(Err(Failure::TimedOut))
}

fn who_we_are(user: Option<&RedisUser>) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(RedisUser { name, password }) = user {
        info = info.set_password(password.expose());
        if let Some(name) = name {
            info = info.set_username(name);
        }
    }
    info
}

impl Access {
    fn new(settings: RedisAccess) -> Result<Self, RedisStoreError> {
        let tls = settings.tls.as_ref().map(|tls| tls::client_config(&tls.ca_certificates, tls.identity.as_deref()));
        let tls = tls.transpose()?.map(Arc::new);
        Ok(Self { settings, tls })
    }

    async fn stream(&self, server: &ServerAddress) -> Result<Box<dyn Stream>, Failure> {
        let tcp = TcpStream::connect((server.host.as_str(), server.port)).await?;
        tcp.set_nodelay(true)?;
        let Some(config) = &self.tls else { return Ok(Box::new(tcp)) };
        let untrusted = |error| Failure::Tls(Arc::new(error));
        let name = ServerName::try_from(server.host.clone())
            .map_err(|_| untrusted(io::Error::from(io::ErrorKind::InvalidInput)))?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.map_err(untrusted)?;
        Ok(Box::new(stream))
    }
}
