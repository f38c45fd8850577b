//! What is known from outside about every session, and what must hold of it.

use std::time::Duration;

use super::provider::{Fate, Provider};
use super::view::View;
use super::world::World;
use crate::clock::Timestamp;
use crate::session::StoreKey;

/// A revocation is effective everywhere within this, by replicas that hear of it: a second, and the granularity of what
/// was announced.
const BOUND: u64 = 1_000;
/// By one that hears nothing and can ask: as often as it asks, after it has noticed.
const BOUND_DEAF: u64 = 3_000;
/// By one that can do neither: the outage grace, and how long it takes to notice.
const BOUND_CUT_OFF: u64 = 62_000;

/// As the machines of a provider may be apart.
const PROVIDER_SKEW: Duration = Duration::from_secs(60);

/// A session that a browser was given.
pub(super) struct Known {
    pub(super) key: StoreKey,
    pub(super) cookie: String,
    pub(super) subject: usize,
    pub(super) sid: String,
    pub(super) family: usize,
    /// Sessions between which somebody has stepped up end together.
    pub(super) chain: usize,
    pub(super) login_issued: Timestamp,
    /// Something was tried that ends it.
    pub(super) may_end: Option<&'static str>,
    /// When the end was acknowledged.
    pub(super) ended_at: Option<u64>,
}

/// An end of all sessions of a person or of a session of the provider's that was acknowledged.
pub(super) struct Ended {
    pub(super) subject: usize,
    pub(super) sid: Option<String>,
    pub(super) up_to: Timestamp,
    pub(super) at: u64,
}

/// An end of the same kind that was tried: it may reach whoever logs in meanwhile.
pub(super) struct Tried {
    pub(super) subject: usize,
    pub(super) sid: Option<String>,
    /// Logins up to here are meant; without it, whatever there is.
    pub(super) up_to: Option<Timestamp>,
    /// When it was over.
    pub(super) over: Option<u64>,
}

impl Tried {
    /// Whether it may have reached a login that began to be written at this time of the world.
    pub(super) fn may_reach(&self, subject: usize, sid: &str, login_issued: Timestamp, began: u64) -> bool {
        self.subject == subject
            && self.sid.as_ref().is_none_or(|named| named == sid)
            && self.up_to.is_none_or(|up_to| login_issued <= up_to.plus(PROVIDER_SKEW))
            && self.over.is_none_or(|over| began <= over)
    }
}

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) sessions: Vec<Known>,
    pub(super) ended: Vec<Ended>,
    pub(super) tried: Vec<Tried>,
    pub(super) failovers: Vec<u64>,
    pub(super) violations: Vec<String>,
    pub(super) forwarded: u64,
}

impl Ledger {
    /// Whether a session that nobody has ended is to be had.
    pub(super) fn must_live(&self, session: usize) -> bool {
        self.sessions[session].may_end.is_none() && self.failovers.is_empty()
    }

    /// Something that ends these sessions is tried.
    pub(super) fn may_end(&mut self, which: impl Fn(&Known) -> bool, why: &'static str) {
        for known in self.sessions.iter_mut().filter(|known| which(known)) {
            known.may_end = Some(why);
        }
    }

    /// It was acknowledged. A failover since it began may have lost it again.
    pub(super) fn have_ended(&mut self, which: impl Fn(&Known) -> bool, began: u64, at: u64) {
        if self.failovers.iter().any(|failover| *failover >= began) {
            return;
        }
        for known in self.sessions.iter_mut().filter(|known| which(known)) {
            known.ended_at.get_or_insert(at);
        }
    }
}

/// I1, and that nobody gets the token of somebody else: a request went on with this token.
pub(super) fn forwarded(world: &World, view: &View, name: &str, session: usize, rotation: Option<usize>) {
    let now = world.now();
    let mut ledger = world.ledger.lock().unwrap();
    ledger.forwarded += 1;
    let known = &ledger.sessions[session];
    let late = known.ended_at.filter(|at| !ledger.failovers.iter().any(|failover| failover >= at)).and_then(|at| {
        let bound = match view.troubles_since(at.saturating_sub(BOUND_CUT_OFF)) {
            (true, true) => BOUND_CUT_OFF,
            (true, false) => BOUND_DEAF,
            (false, _) => BOUND,
        };
        (now > at + bound).then_some(now - at)
    });
    drop(ledger);
    world.say(|| format!("{name}: session {session} forwarded with rotation {rotation:?}"));
    if let Some(late) = late {
        world.violated(format!("I1: session {session} forwarded by {name} {late} ms after its end"));
    }
    if rotation.is_none() {
        world.violated(format!("I1: session {session} forwarded by {name} with the token of somebody else"));
    }
}

/// I3: a request was told that nobody is logged in, or that its access token has run out for good.
pub(super) fn denied(world: &World, provider: &Provider, view: &View, name: &str, session: usize, why: &str) {
    world.say(|| format!("{name}: session {session} denied, {why}"));
    let ledger = world.ledger.lock().unwrap();
    let (must_live, known) = (ledger.must_live(session), &ledger.sessions[session]);
    let (family, key, may_end) = (known.family, known.key, known.may_end);
    drop(ledger);
    let families = provider.families.lock().unwrap();
    let (reused, uncertain) = (families[family].reused, families[family].uncertain);
    drop(families);
    let excused = match why {
        "access-token-expired" => uncertain >= 2 || reused,
        "session-tampered" | "session-cookie-malformed" => false,
        _ => reused,
    };
    // A failover may lose a login or what has been refreshed; what it has left is not missing.
    let is_there = why == "session-missing" && may_end.is_none() && view.store.holds(&key);
    if (must_live || is_there) && !excused {
        world.violated(format!("I3: session {session} denied by {name}: {why}"));
    }
}

/// RF-08: what came for a session after its end was acknowledged has been revoked.
pub(super) fn returned_tokens_are_revoked(world: &World, provider: &Provider) {
    let mut left = Vec::new();
    let ledger = world.ledger.lock().unwrap();
    let trouble = *provider.last_trouble.lock().unwrap();
    for (session, known) in ledger.sessions.iter().enumerate() {
        let families = provider.families.lock().unwrap();
        let family = &families[known.family];
        let Some((ended_at, holder)) = known.ended_at.zip(family.holder.as_ref()) else { continue };
        let came_after = matches!(holder.fate, Fate::Delivered(at) if at > ended_at && at > trouble);
        let failed_over = ledger.failovers.iter().any(|failover| *failover >= ended_at);
        if came_after && !family.revoked && !holder.view.is_dead() && !failed_over {
            left.push(session);
        }
    }
    drop(ledger);
    for session in left {
        world.violated(format!("RF-08: tokens that came for session {session} after its end were not revoked"));
    }
}
