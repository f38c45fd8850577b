//! What an open WebSocket or stream holds on to: it keeps its session used and fresh, and is cut when that ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::Gateway;
use super::route::KnownProvider;
use crate::session::OpenedSession;
use crate::session::SessionWatch;
use crate::upstream::SessionGuard;

/// So often the clock is asked, however far away the next refresh is: somebody may set it.
const NEXT_LOOK: Duration = Duration::from_secs(15);

/// The session of one open stream.
pub(super) struct Keeper {
    gateway: Arc<Gateway>,
    known: Arc<KnownProvider>,
    watch: Arc<SessionWatch>,
}

impl Keeper {
    pub(super) fn new(gateway: &Arc<Gateway>, known: &Arc<KnownProvider>, session: &Arc<OpenedSession>) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            known: Arc::clone(known),
            watch: Arc::new(gateway.sessions.watch(session)),
        }
    }
}

impl SessionGuard for Keeper {
    fn ended(&self) -> BoxFuture<'static, ()> {
        let (gateway, known, watch) = (Arc::clone(&self.gateway), Arc::clone(&self.known), Arc::clone(&self.watch));
        Box::pin(async move {
            tokio::select! {
                () = watch.ended() => {}
                () = keep_fresh(&gateway, &known, &watch) => {}
            }
        })
    }

    fn used(&self) {
        self.watch.touch();
    }
}

/// Refreshes ahead of expiry for as long as it is polled: a stream holds its opened session, so it may.
async fn keep_fresh(gateway: &Arc<Gateway>, known: &Arc<KnownProvider>, watch: &SessionWatch) {
    loop {
        let current = watch.current();
        let due = current.next_refresh().filter(|_| current.can_refresh());
        let pause = due.map_or(NEXT_LOOK, |due| due.since(gateway.clock.now()));
        // Once it is due a flight runs in the background; a look every second sees it land or fail.
        tokio::time::sleep(pause.clamp(Duration::from_secs(1), NEXT_LOOK)).await;
        // What comes of it shows in the session: an end cuts the stream, a failure is tried again.
        let _ = gateway.refresher.fresh(known, watch.current(), false).await;
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keeper").field("watch", &self.watch).finish_non_exhaustive()
    }
}
