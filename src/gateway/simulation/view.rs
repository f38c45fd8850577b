//! The store as one replica sees it: late, failing, cut off, or deaf to what the others do.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};

use super::store::{Done, State, Store};
use crate::clock::{Clock, Timestamp};
use crate::session::store::{Change, StoreError, StoreFuture, StoreState};

/// What goes wrong between a replica and the store.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// Nothing gets there.
    pub(super) cut: bool,
    /// Announcements are lost.
    pub(super) deaf: bool,
    /// Of a hundred operations so many fail before they are done.
    pub(super) failing: u64,
    /// Of a hundred operations so many are done, and the answer is lost.
    pub(super) unanswered: u64,
    /// Milliseconds that an operation may take each way, and an announcement.
    pub(super) slow: u64,
}

impl Faults {
    const fn is_deaf(&self) -> bool {
        self.cut || self.deaf
    }

    const fn fails(&self) -> bool {
        self.cut || self.failing > 0 || self.unanswered > 0 || self.slow >= 400
    }
}

pub(super) struct View {
    pub(super) store: Arc<Store>,
    clock: Arc<dyn Clock>,
    faults: Mutex<Faults>,
    dead: AtomicBool,
    outbox: mpsc::UnboundedSender<(u64, Change)>,
    last_due: AtomicU64,
    changes: broadcast::Sender<Change>,
    state: watch::Sender<StoreState>,
    /// Since when it is deaf, on the clock of its replica.
    deaf_since: Mutex<Duration>,
    failures: AtomicU64,
    /// Milliseconds of the world: when an operation last failed, when it was last hard to reach, and last deaf.
    last_error: AtomicU64,
    last_failing: AtomicU64,
    last_deaf: AtomicU64,
}

impl View {
    pub(super) fn new(store: &Arc<Store>, clock: Arc<dyn Clock>, faults: Faults) -> Arc<Self> {
        let (outbox, queue) = mpsc::unbounded_channel();
        let view = Arc::new(Self {
            store: Arc::clone(store),
            clock,
            faults: Mutex::default(),
            dead: AtomicBool::new(false),
            outbox,
            last_due: AtomicU64::new(0),
            changes: broadcast::Sender::new(64),
            state: watch::Sender::new(StoreState::GOOD),
            deaf_since: Mutex::default(),
            failures: AtomicU64::new(0),
            last_error: AtomicU64::new(0),
            last_failing: AtomicU64::new(0),
            last_deaf: AtomicU64::new(0),
        });
        store.listen(&view);
        tokio::spawn(Arc::clone(&view).deliver(queue));
        view.set(faults);
        view
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// The process behind it is no more: none of its operations comes back.
    pub(super) fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub(super) fn faults(&self) -> Faults {
        *self.faults.lock().unwrap()
    }

    pub(super) fn set(self: &Arc<Self>, faults: Faults) {
        let before = std::mem::replace(&mut *self.faults.lock().unwrap(), faults);
        let now = self.store.world.now();
        if before.fails() || faults.fails() {
            self.last_failing.store(now, Ordering::SeqCst);
        }
        if before.is_deaf() || faults.is_deaf() {
            self.last_deaf.store(now, Ordering::SeqCst);
        }
        if before.is_deaf() != faults.is_deaf() {
            if faults.is_deaf() {
                *self.deaf_since.lock().unwrap() = self.clock.monotonic();
            }
            tokio::spawn(Arc::clone(self).tell(faults.is_deaf()));
        }
    }

    /// Whether it was deaf, and whether it was hard to reach, at some time since then.
    pub(super) fn troubles_since(&self, then: u64) -> (bool, bool) {
        let faults = self.faults();
        let since = |last: &AtomicU64| last.load(Ordering::SeqCst) >= then.max(1);
        (faults.is_deaf() || since(&self.last_deaf), faults.fails() || since(&self.last_failing))
    }

    pub(super) fn failed_since(&self, then: u64) -> bool {
        self.last_error.load(Ordering::SeqCst) >= then.max(1)
    }

    /// How many operations have failed so far.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::SeqCst)
    }

    /// The connection breaks and is there again.
    pub(super) fn lose_connection(self: &Arc<Self>) {
        if self.faults().is_deaf() || self.is_dead() {
            return;
        }
        *self.deaf_since.lock().unwrap() = self.clock.monotonic();
        self.last_deaf.store(self.store.world.now(), Ordering::SeqCst);
        tokio::spawn(Arc::clone(self).tell(true));
    }

    /// A store notices a lost connection a little later, and says when it was lost; also of one that it has lost for a
    /// shorter time than it takes to notice.
    async fn tell(self: Arc<Self>, deaf: bool) {
        if deaf {
            tokio::time::sleep(self.store.world.chance.up_to(500)).await;
        }
        let deaf_since = Some(*self.deaf_since.lock().unwrap());
        self.state.send_replace(StoreState { available: false, deaf_since, ..StoreState::GOOD });
        tokio::time::sleep(Duration::from_millis(1)).await;
        if !self.faults().is_deaf() {
            self.state.send_replace(StoreState::GOOD);
        }
    }

    /// Something has happened to a session; whoever listens here hears of it in order, within a second.
    pub(super) fn announce(&self, change: Change) {
        let world = &self.store.world;
        let late = u64::try_from(world.chance.up_to(self.faults().slow.min(400)).as_millis()).unwrap();
        let due = self.last_due.load(Ordering::SeqCst).max(world.now() + late);
        self.last_due.store(due, Ordering::SeqCst);
        let _ = self.outbox.send((due, change));
    }

    async fn deliver(self: Arc<Self>, mut queue: mpsc::UnboundedReceiver<(u64, Change)>) {
        while let Some((due, change)) = queue.recv().await {
            tokio::time::sleep(Duration::from_millis(due.saturating_sub(self.store.world.now()))).await;
            if !self.faults().is_deaf() {
                let _ = self.changes.send(change);
            }
        }
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    pub(super) fn state(&self) -> watch::Receiver<StoreState> {
        self.state.subscribe()
    }

    /// One operation as this replica sees it.
    pub(super) fn perform<'a, T: Send + 'a>(
        &'a self,
        operation: impl FnOnce(&mut State, u64, Timestamp) -> Done<T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let chance = &self.store.world.chance;
            self.travel().await;
            // What was sent before a crash may still arrive.
            if self.is_dead() && chance.once_in(2) {
                return pending().await;
            }
            let faults = self.faults();
            if faults.cut || chance.percent(faults.failing) {
                return self.fail().await;
            }
            let answer = self.store.apply(operation);
            self.travel().await;
            if self.faults().cut || chance.percent(faults.unanswered) {
                return self.fail().await;
            }
            if self.is_dead() { pending().await } else { Ok(answer) }
        })
    }

    async fn travel(&self) {
        let slow = self.faults().slow;
        if slow > 0 {
            tokio::time::sleep(self.store.world.chance.up_to(slow)).await;
        } else {
            tokio::task::yield_now().await;
        }
        if self.is_dead() && self.store.world.chance.once_in(2) {
            pending::<()>().await;
        }
    }

    async fn fail<T>(&self) -> Result<T, StoreError> {
        tokio::time::sleep(self.store.world.chance.up_to(300)).await;
        if self.is_dead() {
            return pending().await;
        }
        self.failures.fetch_add(1, Ordering::SeqCst);
        self.last_error.store(self.store.world.now(), Ordering::SeqCst);
        Err(StoreError::Unavailable("told to fail".into()))
    }
}
