//! What an open WebSocket or stream holds on to: it keeps its session used and fresh, and is cut when that ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::Gateway;
use super::current_providers::CurrentProviders;
use super::refresh::Refresher;
use crate::clock::Clock;
use crate::session::OpenedSession;
use crate::session::SessionWatch;
use crate::upstream::SessionGuard;

/// So often the clock is asked, however far away the next refresh is: somebody may set it.
const NEXT_LOOK: Duration = Duration::from_secs(15);

/// The session of one open stream.
pub(super) struct Keeper {
    renewal: Renewal,
    watch: Arc<SessionWatch>,
}

/// What it takes to keep a session fresh, whichever gateway the stream began under.
#[derive(Clone)]
struct Renewal {
    refresher: Arc<Refresher>,
    providers: Arc<CurrentProviders>,
    clock: Arc<dyn Clock>,
}

impl Keeper {
    pub(super) fn new(gateway: &Gateway, session: &Arc<OpenedSession>) -> Self {
        Self {
            renewal: Renewal {
                refresher: Arc::clone(&gateway.refresher),
                providers: Arc::clone(&gateway.current_providers),
                clock: Arc::clone(&gateway.clock),
            },
            watch: Arc::new(gateway.sessions.watch(session)),
        }
    }
}

impl SessionGuard for Keeper {
    fn ended(&self) -> BoxFuture<'static, ()> {
        let (renewal, watch) = (self.renewal.clone(), Arc::clone(&self.watch));
        Box::pin(async move {
            tokio::select! {
                () = watch.ended() => {}
                () = keep_fresh(&renewal, &watch) => {}
            }
        })
    }

    fn used(&self) {
        self.watch.touch();
    }
}

/// Refreshes ahead of expiry for as long as it is polled: a stream holds its opened session, so it may.
async fn keep_fresh(renewal: &Renewal, watch: &SessionWatch) {
    loop {
        let current = watch.current();
        let due = current.next_refresh().filter(|_| current.can_refresh());
        let pause = due.map_or(NEXT_LOOK, |due| due.since(renewal.clock.now()));
        // Once it is due a flight runs in the background; a look every second sees it land or fail.
        tokio::time::sleep(pause.clamp(Duration::from_secs(1), NEXT_LOOK)).await;
        let current = watch.current();
        // A host that is no longer ours has no provider, and the watch finds that its sessions have ended.
        if let Some(known) = renewal.providers.find(current.host()) {
            // What comes of it shows in the session: an end cuts the stream, a failure is tried again.
            let _ = renewal.refresher.fresh(&known, current, false).await;
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keeper").field("watch", &self.watch).finish_non_exhaustive()
    }
}
