//! A gateway's sessions on the memory store, with a clock that can be set and a store that can be made to fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::watch as channel;

use super::*;
use crate::origin::Scheme;
use crate::secret::SealingKey;
use crate::session::error::{EndReason, WhyNot};
use crate::session::fixtures::{grant, identity};
use crate::session::grant::{Grant, GrantId};
use crate::session::settings::StoreSettings;
use crate::session::store::memory::MemoryStore;
use crate::session::store::{
    IndexKey, Inserted, LeaseOwner, ListedSession, Replaced, SealedSession, StoreError, StoreFuture, StoreState,
    StoredSession,
};
use crate::session::testing::{Counted, TestClock};
use crate::session::ticket::StoreKey;

mod begin;
mod come_back;
mod confirm;
mod dump;
mod end;
mod end_all;
mod gone_back;
mod open;
mod overwritten;
mod renew;
mod save;
mod supersede;
mod watch;

const NOW: u64 = 1_800_000_000;
const NAMESPACE: &str = "https://wiki.example.com";

fn host(name: &str) -> Host {
    Host::parse(name, Scheme::Https).unwrap()
}

fn wiki() -> Host {
    host("wiki.example.com")
}

fn settings(keys: &[u8]) -> SessionSettings {
    SessionSettings {
        store: StoreSettings::Memory { max_sessions: 10_000 },
        lifetime: Duration::from_secs(36_000),
        idle_timeout: Duration::from_secs(3_600),
        outage_grace: Duration::from_secs(60),
        keys: keys.iter().map(|byte| SealingKey::new([*byte; 32])).collect(),
        max_sessions_per_subject: 3,
        cache: crate::session::settings::DEFAULT_CACHE,
    }
}

fn clients() -> HashMap<Host, RegisteredClient> {
    let client = RegisteredClient { issuer: "https://id.example.com".into(), client_id: "wiki".into() };
    [(wiki(), client.clone()), (host("tools.example.com"), client)].into()
}

type Step = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The memory store, with faults and with things that happen in between.
struct TestStore {
    memory: MemoryStore,
    away: AtomicBool,
    refuses_writes: AtomicBool,
    /// Inserts, and does not say so.
    loses_inserts: AtomicBool,
    /// Gives leases, and does not say so.
    loses_leases: AtomicBool,
    before_insert: Mutex<Option<Step>>,
    after_insert: Mutex<Option<Step>>,
    before_replace: Mutex<Option<Step>>,
    before_remove: Mutex<Option<Step>>,
    state: channel::Sender<StoreState>,
    /// What `load` gives instead.
    forged: Mutex<Option<StoredSession>>,
    /// In its place lies something else.
    overwritten: Mutex<Option<StoreKey>>,
    touches: std::sync::atomic::AtomicUsize,
    loads: std::sync::atomic::AtomicUsize,
    /// Whether a load takes a while, and how many have gone on at once then.
    slow_loads: AtomicBool,
    loading: Mutex<(usize, usize)>,
}

fn gone<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("away".into()))
}

async fn happen(step: &Mutex<Option<Step>>) {
    let step = step.lock().unwrap().take();
    if let Some(step) = step {
        step.await;
    }
}

impl TestStore {
    fn begin_loading(&self) {
        let (now, most) = &mut *self.loading.lock().unwrap();
        *now += 1;
        *most = (*most).max(*now);
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) { gone() } else { Ok(()) }
    }
}

impl SessionStore for TestStore {
    fn insert(&self, key: StoreKey, sealed: SealedSession, last_use: LastUse) -> StoreFuture<'_, Inserted> {
        Box::pin(async move {
            self.check()?;
            happen(&self.before_insert).await;
            let inserted = self.memory.insert(key, sealed, last_use).await;
            happen(&self.after_insert).await;
            if self.loses_inserts.load(Ordering::SeqCst) { gone() } else { inserted }
        })
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredSession>> {
        Box::pin(async move {
            self.check()?;
            self.loads.fetch_add(1, Ordering::SeqCst);
            if *self.overwritten.lock().unwrap() == Some(key) {
                return Err(StoreError::NotASession);
            }
            if self.slow_loads.load(Ordering::SeqCst) {
                self.begin_loading();
                tokio::task::yield_now().await;
                self.loading.lock().unwrap().0 -= 1;
            }
            let forged = self.forged.lock().unwrap().clone();
            match forged {
                Some(forged) => Ok(Some(forged)),
                None => Ok(self.memory.load(key).await?),
            }
        })
    }

    fn replace(&self, key: StoreKey, expected: u64, sealed: SealedSession) -> StoreFuture<'_, Replaced> {
        Box::pin(async move {
            self.check()?;
            happen(&self.before_replace).await;
            if self.refuses_writes.load(Ordering::SeqCst) {
                gone()
            } else {
                self.memory.replace(key, expected, sealed).await
            }
        })
    }

    fn touch(&self, key: StoreKey, last_use: LastUse) -> StoreFuture<'_, bool> {
        self.touches.fetch_add(1, Ordering::SeqCst);
        self.memory.touch(key, last_use)
    }

    fn remove(&self, key: StoreKey) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.check()?;
            happen(&self.before_remove).await;
            self.memory.remove(key).await
        })
    }

    fn index_add(&self, index: IndexKey, member: StoreKey, expires: Timestamp) -> StoreFuture<'_, ()> {
        self.memory.index_add(index, member, expires)
    }

    fn index_members(&self, index: IndexKey) -> StoreFuture<'_, Vec<StoreKey>> {
        self.memory.index_members(index)
    }

    fn write_index_tombstone(&self, index: IndexKey, at: Timestamp, ttl: Duration) -> StoreFuture<'_, ()> {
        self.memory.write_index_tombstone(index, at, ttl)
    }

    fn index_tombstone(&self, index: IndexKey) -> StoreFuture<'_, Option<Timestamp>> {
        self.memory.index_tombstone(index)
    }

    fn put_once(&self, marker: MarkerKey, until: Timestamp) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.check()?;
            self.memory.put_once(marker, until).await
        })
    }

    fn take_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner, ttl: Duration) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let taken = self.memory.take_lease(key, grant, owner, ttl).await;
            if self.loses_leases.load(Ordering::SeqCst) { gone() } else { taken }
        })
    }

    fn release_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner) -> StoreFuture<'_, ()> {
        self.memory.release_lease(key, grant, owner)
    }

    fn list(&self) -> StoreFuture<'_, Vec<ListedSession>> {
        self.memory.list()
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.memory.changes()
    }

    fn state(&self) -> channel::Receiver<StoreState> {
        self.state.subscribe()
    }

    fn sweep(&self) -> StoreFuture<'_, ()> {
        self.memory.sweep()
    }

    fn live_sessions(&self) -> usize {
        self.memory.live_sessions()
    }
}

/// One replica; several may share store, clock and entropy.
struct Scene {
    clock: Arc<TestClock>,
    entropy: Arc<Counted>,
    store: Arc<TestStore>,
    sessions: Arc<Sessions>,
    replica: OnceLock<Arc<Sessions>>,
}

impl Scene {
    fn new() -> Self {
        Self::with(settings(&[1]), 10_000)
    }

    fn with(mut settings: SessionSettings, max_sessions: usize) -> Self {
        let clock = Arc::new(TestClock::at(NOW));
        let entropy = Arc::new(Counted::default());
        let store = Arc::new(TestStore {
            memory: MemoryStore::new(max_sessions, Arc::clone(&clock) as Arc<dyn Clock>),
            away: AtomicBool::default(),
            refuses_writes: AtomicBool::default(),
            loses_inserts: AtomicBool::default(),
            loses_leases: AtomicBool::default(),
            before_insert: Mutex::default(),
            after_insert: Mutex::default(),
            before_replace: Mutex::default(),
            before_remove: Mutex::default(),
            state: channel::Sender::new(StoreState::GOOD),
            forged: Mutex::default(),
            overwritten: Mutex::default(),
            touches: std::sync::atomic::AtomicUsize::default(),
            loads: std::sync::atomic::AtomicUsize::default(),
            slow_loads: AtomicBool::default(),
            loading: Mutex::default(),
        });
        let sessions = Sessions::new(
            &mut settings,
            NAMESPACE.into(),
            clients(),
            Arc::clone(&clock) as _,
            Arc::clone(&entropy) as _,
            Arc::clone(&store) as _,
        )
        .unwrap();
        Self { clock, entropy, store, sessions, replica: OnceLock::new() }
    }

    /// Another gateway, or the same one configured differently, on the same store.
    fn other(
        &self,
        mut settings: SessionSettings,
        namespace: &str,
        clients: HashMap<Host, RegisteredClient>,
    ) -> Arc<Sessions> {
        Sessions::new(
            &mut settings,
            namespace.into(),
            clients,
            Arc::clone(&self.clock) as _,
            Arc::clone(&self.entropy) as _,
            Arc::clone(&self.store) as _,
        )
        .unwrap()
    }

    fn replica(&self) -> &Arc<Sessions> {
        self.replica.get_or_init(|| self.other(settings(&[1]), NAMESPACE, clients()))
    }

    fn login<'a>(&self, subject: &str) -> NewSession<'a> {
        NewSession {
            host: wiki(),
            identity: identity(subject),
            sub: subject.into(),
            client_id: "wiki".into(),
            sid: Some(format!("sid-{subject}")),
            auth_time: Some(self.clock.now()),
            acr: None,
            login_issued: self.clock.now(),
            browser: [9; 32],
            upstream: Some("wiki".into()),
            grants: vec![Arc::new(grant(subject))],
            replaces: None,
            steps_up: false,
        }
    }

    async fn begin(&self, subject: &str) -> Begun {
        self.sessions.begin(self.login(subject)).await.unwrap()
    }

    /// From here on nothing that others do is heard.
    async fn go_deaf(&self) {
        let since = self.clock.monotonic();
        self.store.state.send_replace(StoreState { available: false, deaf_since: Some(since), gaps: 0 });
        settle().await;
    }

    async fn hear_again(&self) {
        self.store.state.send_replace(StoreState::GOOD);
        settle().await;
    }

    fn set_away(&self, away: bool) {
        self.store.away.store(away, Ordering::SeqCst);
    }

    async fn open(&self, cookie: &str) -> Opened {
        self.sessions.open(&wiki(), cookie.as_bytes()).await.unwrap()
    }
}

/// The session of an answer that has one.
fn live(opened: Opened) -> Arc<OpenedSession> {
    match opened {
        Opened::Live(session) => session,
        Opened::None(why) => panic!("no session: {why:?}"),
    }
}

/// The reason of an answer that has none.
fn why(opened: Opened) -> WhyNot {
    match opened {
        Opened::Live(session) => panic!("a live session: {session:?}"),
        Opened::None(why) => why,
    }
}

fn first_grant(session: &OpenedSession) -> &Arc<Grant> {
    session.grants().first().unwrap()
}

/// Lets spawned tasks run.
async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}
