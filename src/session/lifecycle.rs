//! The life of a session: begun, opened, written, ended. The one place that brings keys, clock, cache and store
//! together.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use self::confirm::Hearing;
use super::cache::{CacheKey, SessionCache};
use super::error::{EndReason, SessionError};
use super::key_ring::{KeyRing, RingKey};
use super::lifetime::{Verdict, store_expiry, touch_due, verdict};
use super::liveness::Registry;
use super::opened::OpenedSession;
use super::rules::{NotAdmitted, RegisteredClient, SessionRules};
use super::settings::SessionSettings;
use super::store::{Change, ChangeKind, LastUse, MarkerKey, SessionStore};
use super::ticket::StoreKey;
use super::tlv::tlv;
use crate::clock::{Clock, Timestamp};
use crate::entropy::Entropy;
use crate::origin::Host;

mod begin;
mod confirm;
mod end;
mod end_all;
mod gone_back;
mod logout_turn;
mod open;
mod renew;
mod save;
mod seal;
mod supersede;
mod used;
mod watch;

pub use begin::{Begun, NewSession};
pub(super) use confirm::stamp;
pub use end::{EndedSession, SessionSummary};
pub use logout_turn::{LogoutTurn, NamedToken};
pub use open::Opened;
pub use save::{Lease, SaveError, Saved};
pub use watch::SessionWatch;

/// What a marker marks as used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker<'a> {
    /// A login attempt.
    Attempt(&'a [u8; 16]),
    /// A turn at a logout token (OpenID Connect Back-Channel Logout §2.6).
    LogoutToken {
        /// Its issuer.
        issuer: &'a str,
        /// Its `jti`.
        jti: &'a str,
        /// Which turn.
        turn: u8,
    },
}

/// A session that time has ended.
#[derive(Clone, Debug)]
pub struct PassedSession {
    /// The session as it was last opened.
    pub session: Arc<OpenedSession>,
    /// Which limit it has reached.
    pub reason: EndReason,
}

/// All sessions of this gateway.
pub struct Sessions {
    /// What a reload may change.
    rules: ArcSwap<SessionRules>,
    editions: AtomicU64,
    /// The key that was made for this run, if one was.
    own_key: OnceLock<Arc<RingKey>>,
    namespace: String,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    store: Arc<dyn SessionStore>,
    cache: SessionCache,
    registry: Arc<Registry>,
    hearing: Hearing,
    /// Past a limit, and not told of yet.
    passed: Mutex<Vec<PassedSession>>,
    /// First uses of upstreams that are being written down.
    noting: Mutex<HashSet<(StoreKey, String)>>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sessions").field("rules", &*self.rules.load()).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Brings everything together. `namespace` is origin and path of the public URL; `clients` names for each host with
    /// whom its sessions are begun. The keys are taken out of the settings.
    ///
    /// # Errors
    /// [`SessionError::Keys`] when the keys make no ring.
    pub fn new(
        settings: &mut SessionSettings,
        namespace: String,
        clients: HashMap<Host, RegisteredClient>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        store: Arc<dyn SessionStore>,
    ) -> Result<Arc<Self>, SessionError> {
        let ring = KeyRing::new(std::mem::take(&mut settings.keys))?;
        Ok(Arc::new(Self {
            rules: ArcSwap::from_pointee(SessionRules::new(settings, ring, namespace.clone(), clients, 0)),
            own_key: OnceLock::new(),
            editions: AtomicU64::new(1),
            namespace,
            clock,
            entropy,
            store,
            cache: SessionCache::new(settings.cache),
            registry: Registry::new(),
            hearing: Hearing::default(),
            passed: Mutex::default(),
            noting: Mutex::default(),
        }))
    }

    /// When a session ends, whatever its use.
    #[must_use]
    pub fn absolute_expiry(&self, session: &OpenedSession) -> Timestamp {
        self.rules.load().absolute_expiry(session)
    }

    /// When a session ends if it is not used again.
    #[must_use]
    pub fn idle_expiry(&self, session: &OpenedSession) -> Timestamp {
        let rules = self.rules.load();
        store_expiry(rules.absolute_expiry(session), session.last_touch(), rules.idle)
    }

    /// What happens to sessions from now on, on every replica.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.store.changes()
    }

    /// About how many sessions are live.
    #[must_use]
    pub fn live_sessions(&self) -> usize {
        self.store.live_sessions()
    }

    /// Marks something as used until `until`. `false`: it was already.
    ///
    /// # Errors
    /// [`SessionError::Store`]: whether it was used is not known, so the caller refuses.
    pub async fn put_once(&self, marker: Marker<'_>, until: Timestamp) -> Result<bool, SessionError> {
        let namespace = self.namespace.as_bytes();
        let named = match marker {
            Marker::Attempt(id) => tlv(&[b"vestibule/marker/v1", namespace, b"attempt", id]),
            Marker::LogoutToken { issuer, jti, turn } => {
                let (issuer, jti) = (issuer.as_bytes(), jti.as_bytes());
                tlv(&[b"vestibule/marker/v1", namespace, b"logout-token", issuer, jti, &[turn]])
            }
        };
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(Sha256::digest(named)) {
            *to = from;
        }
        Ok(self.store.put_once(MarkerKey(key), until).await?)
    }

    /// Follows what happens to sessions, on this replica and others, and lets go of what is no longer so. Runs until it
    /// is dropped.
    pub async fn run(self: Arc<Self>) {
        let (mut changes, mut state) = (self.store.changes(), self.store.state());
        let mut told = true;
        self.hear(*state.borrow_and_update());
        loop {
            tokio::select! {
                // What was missed first: it is seldom, and changes are believed from then on.
                biased;
                // A store that says nothing more about itself has said its last word.
                changed = state.changed(), if told => match changed {
                    Ok(()) => self.hear(*state.borrow_and_update()),
                    Err(_) => told = false,
                },
                change = changes.recv() => match change {
                    Ok(change) => self.apply(change),
                    Err(RecvError::Lagged(_)) => self.missed_some(),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    fn apply(&self, change: Change) {
        let Some(liveness) = self.registry.find(&change.key) else { return };
        match change.kind {
            ChangeKind::Changed { generation } => liveness.advance(generation),
            ChangeKind::LeaseReleased => liveness.lease_released(),
            ChangeKind::Removed => {
                liveness.end();
                if let Some(key) = liveness.cache_key() {
                    self.cache.remove(key);
                }
            }
        }
    }

    /// Lets the store forget what has expired, and the cache what nobody uses any more. To be called once a minute.
    pub async fn sweep(&self) {
        let (ended, unused) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        self.cache.retain(|session| {
            let end = match self.judge(session) {
                Judgement::Expired => EndReason::Expired,
                Judgement::NotAdmitted(why) => why.end(),
                Judgement::AskStoreAboutUse => {
                    unused.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(session));
                    return false;
                }
                Judgement::Live | Judgement::Unconfirmed => return true,
                // What has been written anew serves while the store is away.
                Judgement::AskStore => return !session.has_ended(),
            };
            ended.lock().unwrap_or_else(PoisonError::into_inner).push((Arc::clone(session), end));
            false
        });
        for (session, end) in ended.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.note_passed(&session, end);
        }
        for session in unused.into_inner().unwrap_or_else(PoisonError::into_inner) {
            // It may have been used at another replica; what is not known is not told.
            if matches!(self.store.load(session.store_key()).await, Ok(None)) {
                self.note_passed(&session, EndReason::Idle);
            }
        }
        if self.store.sweep().await.is_err() {
            tracing::warn!(event = "session.sweep-failed");
        }
    }

    /// What clock, rules and knowledge of this process say about an opened session.
    fn judge(&self, session: &OpenedSession) -> Judgement {
        if !session.is_current() {
            return Judgement::AskStore;
        }
        let rules = self.rules.load();
        if session.edition != rules.edition
            && let Err(why) = rules.admit(session)
        {
            return Judgement::NotAdmitted(why);
        }
        let liveness = &session.identified.liveness;
        let monotonic = self.clock.monotonic();
        match self.verdict(&rules, session) {
            Verdict::Expired => Judgement::Expired,
            // It may have been used at another replica.
            Verdict::Idle => Judgement::AskStoreAboutUse,
            Verdict::Live if monotonic >= session.absolute_at => Judgement::AskStore,
            Verdict::Live if liveness.unused_for(monotonic) >= rules.idle => Judgement::AskStoreAboutUse,
            Verdict::Live if !self.hears_of(session, monotonic) => Judgement::Unconfirmed,
            Verdict::Live => Judgement::Live,
        }
    }

    fn verdict(&self, rules: &SessionRules, session: &OpenedSession) -> Verdict {
        let absolute_expiry = rules.absolute_expiry(session);
        verdict(self.clock.now(), session.created(), absolute_expiry, session.last_touch(), rules.idle)
    }

    /// Writes a use down, if one is due. Costs nothing otherwise; the write happens in a task of its own.
    pub fn touch(&self, session: &OpenedSession) {
        if session.is_superseded() {
            return;
        }
        let (now, liveness, rules) = (self.clock.now(), &session.identified.liveness, self.rules.load());
        let before = liveness.last_touch();
        if !touch_due(now, before, rules.idle) || !liveness.note_use(before, now, self.clock.monotonic()) {
            return;
        }
        let last_use = LastUse { at: now, expires: store_expiry(rules.absolute_expiry(session), now, rules.idle) };
        let (store, liveness, key) = (Arc::clone(&self.store), Arc::clone(liveness), session.store_key());
        tokio::spawn(async move {
            match store.touch(key, last_use).await {
                Ok(true) => {}
                // It has ended and nobody has told us.
                Ok(false) => liveness.end(),
                Err(_) => tracing::warn!(event = "session.touch-failed"),
            }
        });
    }

    /// The sessions that were found to be past a limit since this was last asked, each once.
    #[must_use]
    pub fn take_passed(&self) -> Vec<PassedSession> {
        std::mem::take(&mut *self.passed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note_passed(&self, session: &Arc<OpenedSession>, reason: EndReason) {
        let liveness = &session.identified.liveness;
        // The end of one that was stepped up from has been told of when that happened.
        if !session.is_superseded() && liveness.is_untold() {
            let passed = PassedSession { session: Arc::clone(session), reason };
            self.passed.lock().unwrap_or_else(PoisonError::into_inner).push(passed);
        }
        liveness.end();
    }

    /// Lets go of a session that has ended.
    fn forget(&self, session: &OpenedSession) {
        session.identified.liveness.end();
        if let Some(key) = session.identified.liveness.cache_key() {
            self.cache.remove(key);
        }
    }
}

/// What to do with a session that was found open.
enum Judgement {
    Live,
    Expired,
    NotAdmitted(NotAdmitted),
    AskStore,
    AskStoreAboutUse,
    /// Nothing speaks against it, but what others have done to it may not have been heard.
    Unconfirmed,
}

/// The key under which the session of this cookie is kept open.
fn cache_key(cookie: &[u8], host: &Host) -> CacheKey {
    CacheKey::of(cookie, host)
}

#[cfg(test)]
mod tests;
