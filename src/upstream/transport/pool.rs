//! The connections to one application that nobody is using at the moment.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::uri::Scheme;
use http::{Request, Response};
use hyper::body::Incoming;

use super::connector::{ConnectError, Connector, Protocol, Wanted};
use super::http1::{Failed, Http1};
use super::http2::{Http2, Stream};
use crate::upstream::request_body::RequestBody;

/// How often idle connections are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// So many looks later one that has not been used is closed: after 30 s, below the keep-alive of most servers, so that
/// few are found closed.
const UNUSED_LOOKS: u64 = 6;
/// So many looks after it was made, a connection takes no more requests: after a minute names are looked up again, and an
/// application that has moved is followed however much it is asked.
const OLD_LOOKS: u64 = 12;

/// The connections of one application.
pub(super) struct Pool {
    connector: Connector,
    kept: Mutex<Kept>,
    /// The application has chosen HTTP/2 when it was asked last.
    speaks_http2: AtomicBool,
    /// One at a time opens a connection that others will share.
    opening: tokio::sync::Mutex<()>,
    swept: AtomicBool,
}

#[derive(Debug, Default)]
struct Kept {
    /// Counts the looks.
    now: u64,
    /// The one that was used last is the first to be used again, so that what is not needed grows old.
    idle: Vec<(Http1, u64)>,
    shared: Vec<Shared>,
}

#[derive(Debug)]
struct Shared {
    connection: Arc<Http2>,
    made: u64,
    /// The look at which it was last seen in use.
    used: u64,
}

/// A connection to send one request on.
pub(super) enum Connection {
    /// Nobody else's until its answer is complete.
    Own {
        /// It.
        connection: Http1,
        /// It has served before, and may have been closed meanwhile.
        reused: bool,
    },
    /// A stream of a connection that others use, too.
    Shared(Stream),
}

/// The connection that brings an answer.
pub(super) enum Carrier {
    /// At work on this answer alone.
    Own(Http1),
    /// A stream of one that others use, too.
    Shared(Stream),
}

impl Connection {
    /// Sends a request and waits for the head of its answer; `scheme` is that of the target.
    ///
    /// # Errors
    /// [`Failed`].
    pub(super) async fn send(
        self,
        request: Request<RequestBody>,
        scheme: &Scheme,
    ) -> Result<(Response<Incoming>, Carrier), Failed> {
        match self {
            Self::Own { connection, .. } => {
                connection.send(request).await.map(|(response, connection)| (response, Carrier::Own(connection)))
            }
            Self::Shared(stream) => Box::pin(stream.send(request, scheme))
                .await
                .map(|(response, stream)| (response, Carrier::Shared(stream))),
        }
    }

    /// Whether it has served before, so that the application may have ended it meanwhile.
    pub(super) const fn served_before(&self) -> bool {
        match self {
            Self::Own { reused, .. } => *reused,
            Self::Shared(_) => true,
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Arc<Self> {
        Arc::new(Self {
            speaks_http2: AtomicBool::new(connector.speaks_only_http2()),
            connector,
            kept: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            swept: AtomicBool::new(false),
        })
    }

    pub(super) const fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Whether requests share connections here, as far as is known.
    pub(super) fn is_shared(&self) -> bool {
        self.speaks_http2.load(Ordering::Acquire)
    }

    /// A connection for one request: one that is there, or a new one.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub(super) async fn connection(self: &Arc<Self>, wanted: Wanted) -> Result<Connection, ConnectError> {
        if wanted == Wanted::Any && self.is_shared() {
            if let Some(stream) = self.stream() {
                return Ok(Connection::Shared(stream));
            }
            // Many requests at once need one connection more, not one each.
            let _alone = self.opening.lock().await;
            return match self.stream() {
                Some(stream) => Ok(Connection::Shared(stream)),
                None => Box::pin(self.open(wanted)).await,
            };
        }
        match self.take() {
            Some(connection) => Ok(Connection::Own { connection, reused: true }),
            // Boxed: it is rare, and every request would be moved along with the room that it needs.
            None => Box::pin(self.open(wanted)).await,
        }
    }

    /// A new connection, whatever is there.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub(super) async fn open(self: &Arc<Self>, wanted: Wanted) -> Result<Connection, ConnectError> {
        self.sweep_from_now_on();
        let (stream, protocol) = self.connector.connect(wanted).await?;
        if wanted == Wanted::Any {
            self.speaks_http2.store(protocol == Protocol::Http2, Ordering::Release);
        }
        match protocol {
            Protocol::Http1 => {
                let made = self.kept().now;
                let connection = Http1::new(stream, made).await.map_err(ConnectError::Protocol)?;
                Ok(Connection::Own { connection, reused: false })
            }
            Protocol::Http2 => {
                let connection = Http2::new(stream).await.map_err(ConnectError::Protocol)?;
                let stream = connection.open().ok_or(ConnectError::Closed)?;
                let mut kept = self.kept();
                let now = kept.now;
                kept.shared.push(Shared { connection, made: now, used: now });
                Ok(Connection::Shared(stream))
            }
        }
    }

    /// Takes back a connection that is free again.
    pub(super) fn put(&self, connection: Http1) {
        let mut kept = self.kept();
        let now = kept.now;
        if now - connection.made() < OLD_LOOKS {
            kept.idle.push((connection, now));
        }
    }

    fn take(&self) -> Option<Http1> {
        loop {
            let (mut connection, _) = self.kept().idle.pop()?;
            if connection.is_free() {
                return Some(connection);
            }
        }
    }

    fn stream(&self) -> Option<Stream> {
        self.kept().shared.iter().find_map(|shared| shared.connection.open())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it is held.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what is not used for long, as long as the pool is there.
    fn sweep_from_now_on(self: &Arc<Self>) {
        if self.swept.swap(true, Ordering::AcqRel) {
            return;
        }
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut looks = tokio::time::interval(LOOK);
            loop {
                looks.tick().await;
                let Some(pool) = pool.upgrade() else { return };
                pool.sweep();
            }
        });
    }

    fn sweep(&self) {
        let mut kept = self.kept();
        kept.now += 1;
        let now = kept.now;
        let (idle, shared) = (std::mem::take(&mut kept.idle), std::mem::take(&mut kept.shared));
        let is_young = |since: u64| now - since < UNUSED_LOOKS;
        // Those that the application has closed are found here as well.
        kept.idle = idle
            .into_iter()
            .filter_map(|(mut connection, since)| {
                let is_usable = is_young(since) && now - connection.made() < OLD_LOOKS && connection.is_free();
                is_usable.then_some((connection, since))
            })
            .collect();
        kept.shared = shared
            .into_iter()
            .map(|shared| Shared { used: if shared.connection.is_unused() { shared.used } else { now }, ..shared })
            // One that is left out here serves those who are on it to their end.
            .filter(|shared| is_young(shared.used) && now - shared.made < OLD_LOOKS && !shared.connection.is_closed())
            .collect();
    }
}
