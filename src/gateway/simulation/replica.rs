//! One gateway of a schedule: the sessions and the refresher of the program, on its own clock and its own view of the
//! store, and what browsers and operators ask of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, json};
use tokio::task::JoinHandle;

use super::ledger::{self, Ended, Known, Tried};
use super::provider::{Endpoint, Provider};
use super::store::Store;
use super::view::{Faults, View};
use super::world::{SkewedClock, World};
use crate::claims::{Claims, Identity};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::gateway::refresh::{NotFresh, Refresher};
use crate::gateway::revocation::Revoker;
use crate::origin::{Host, Scheme};
use crate::secret::SealingKey;
use crate::session::settings::{SessionSettings, StoreSettings};
use crate::session::{
    EndReason, EndedSession, Grant, GrantKey, IndexName, NewSession, Opened, RegisteredClient, Sessions,
};
use crate::telemetry::audit::AuditLog;
use crate::telemetry::metrics::Metrics;

const ISSUER: &str = "https://id.example";
const CLIENT: &str = "simulated";
/// So often a login tries to end what it replaces.
const TRIES: u64 = 4;

fn host() -> Host {
    Host::parse("app.example", Scheme::Https).unwrap()
}

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With the access token of this rotation.
    Forwarded(Option<usize>),
    Unavailable,
    Denied,
    /// The process has died meanwhile.
    Nothing,
}

pub(super) struct Replica {
    name: String,
    world: Arc<World>,
    provider: Arc<Provider>,
    pub(super) view: Arc<View>,
    pub(super) clock: Arc<SkewedClock>,
    sessions: Arc<Sessions>,
    refresher: Arc<Refresher>,
    revoker: Arc<Revoker>,
    endpoint: Arc<Endpoint>,
    follower: JoinHandle<()>,
}

impl Replica {
    pub(super) fn start(
        name: String,
        store: &Arc<Store>,
        provider: &Arc<Provider>,
        metrics: &Arc<Metrics>,
        ahead: i64,
        faults: Faults,
    ) -> Arc<Self> {
        let world = Arc::clone(&store.world);
        let clock = SkewedClock::new(&world, ahead, world.chance.up_to(1_000_000));
        let view = View::new(store, Arc::clone(&clock) as Arc<dyn Clock>, faults);
        let mut settings = SessionSettings {
            store: StoreSettings::Memory { max_sessions: 1_000 },
            lifetime: Duration::from_secs(36_000),
            idle_timeout: Duration::from_secs(3_600),
            outage_grace: Duration::from_secs(60),
            keys: vec![SealingKey::new([7; 32])],
            max_sessions_per_subject: 100,
            cache: crate::session::settings::DEFAULT_CACHE,
        };
        let client = RegisteredClient { issuer: ISSUER.into(), client_id: CLIENT.into() };
        let sessions = Sessions::new(
            &mut settings,
            "https://app.example".into(),
            HashMap::from([(host(), client)]),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&world.chance) as Arc<dyn Entropy>,
            Arc::clone(&view) as Arc<_>,
        )
        .unwrap();
        let shared = || Arc::clone(&clock) as Arc<dyn Clock>;
        let audit = Arc::new(AuditLog::default());
        let revoker = Revoker::new(shared(), Arc::clone(&audit));
        let refresher =
            Refresher::new(Arc::clone(&sessions), shared(), Arc::clone(metrics), audit, Arc::clone(&revoker));
        let endpoint = Arc::new(Endpoint {
            provider: Arc::clone(provider),
            clock: shared(),
            view: Arc::clone(&view),
            name: name.clone(),
        });
        let follower = tokio::spawn(Arc::clone(&sessions).run());
        let provider = Arc::clone(provider);
        Arc::new(Self { name, world, provider, view, clock, sessions, refresher, revoker, endpoint, follower })
    }

    /// The process ends wherever it is.
    pub(super) fn crash(&self) {
        self.world.say(|| format!("{} crashes", self.name));
        self.view.die();
        self.follower.abort();
    }

    fn is_dead(&self) -> bool {
        self.view.is_dead()
    }

    /// A request with the cookie of a session, to an application that needs the access token.
    pub(super) async fn request(self: Arc<Self>, session: usize) -> Outcome {
        let (cookie, family) = {
            let ledger = self.world.ledger.lock().unwrap();
            (ledger.sessions[session].cookie.clone(), ledger.sessions[session].family)
        };
        let opened = self.sessions.open(&host(), cookie.as_bytes()).await;
        if self.is_dead() {
            return Outcome::Nothing;
        }
        let why = match opened {
            Err(_) => return self.unavailable(session, "store"),
            Ok(Opened::None(why)) => why.as_str(),
            Ok(Opened::Live(opened)) => {
                let fresh = self.refresher.fresh(&self.endpoint, opened, true).await;
                if self.is_dead() {
                    return Outcome::Nothing;
                }
                match fresh {
                    Ok(fresh) => {
                        let token = &fresh.login_grant().unwrap().tokens.access_token;
                        let rotation = self.provider.rotation(family, token);
                        ledger::forwarded(&self.world, &self.view, &self.name, session, rotation);
                        return Outcome::Forwarded(rotation);
                    }
                    Err(NotFresh::Unavailable) => return self.unavailable(session, "refresh"),
                    Err(NotFresh::Ended(why)) => why,
                    Err(NotFresh::AccessTokenExpired) => "access-token-expired",
                }
            }
        };
        ledger::denied(&self.world, &self.provider, &self.view, &self.name, session, why);
        Outcome::Denied
    }

    fn unavailable(&self, session: usize, what: &str) -> Outcome {
        self.world.say(|| format!("{}: session {session} unavailable, {what}", self.name));
        Outcome::Unavailable
    }

    /// A login of a person, in the place of a session of the same browser if there is one.
    pub(super) async fn log_in(self: Arc<Self>, subject: usize, replaces: Option<usize>, steps_up: bool) {
        let old = match replaces {
            Some(old) => {
                let cookie = self.world.ledger.lock().unwrap().sessions[old].cookie.clone();
                match self.sessions.open(&host(), cookie.as_bytes()).await {
                    Ok(Opened::Live(opened)) => Some((old, opened)),
                    _ => None,
                }
            }
            None => None,
        };
        let steps_up = steps_up && old.is_some();
        let login_issued = self.clock.now();
        tokio::time::sleep(self.world.chance.up_to(2_000)).await;
        let (family, tokens) = self.provider.grant(&*self.clock);
        let (name, sid) = (format!("person-{subject}"), format!("sid-{family}"));
        let key = GrantKey { provider: "simulated".into(), scopes: Vec::new(), resource: None };
        let members = Map::from_iter([("sub".to_owned(), json!(name))]);
        let new = NewSession {
            host: host(),
            identity: Identity {
                issuer: ISSUER.into(),
                subject: name.clone(),
                username: None,
                groups: None,
                email: None,
                email_verified: false,
                claims: Claims::new(members),
            },
            sub: name,
            client_id: CLIENT.into(),
            sid: Some(sid.clone()),
            auth_time: Some(login_issued),
            acr: None,
            login_issued,
            browser: [9; 32],
            upstream: Some("wiki".into()),
            grants: vec![Arc::new(Grant::new(key, tokens, self.clock.now()))],
            replaces: old.as_ref().map(|(_, opened)| opened),
            steps_up,
        };
        let (began, failures) = (self.world.now(), self.view.failures());
        // Should the process die in the middle of it, the old one may have ended.
        let tried = old.as_ref().map(|(old, _)| *old);
        if let Some(old) = tried {
            let may_end = &mut self.world.ledger.lock().unwrap().sessions[old].may_end;
            *may_end = may_end.map_or(Some("a login"), |_| Some("several attempts"));
        }
        let begun = self.sessions.begin(new).await;
        if self.is_dead() {
            return;
        }
        let mut ledger = self.world.ledger.lock().unwrap();
        let Ok(begun) = begun else {
            self.world.say(|| format!("{}: login of {subject} refused: {:?}", self.name, begun.err()));
            // With a store that is gone in the middle of it the old one may be gone; one lost answer must not cost it.
            let gone = self.view.failures() - failures >= TRIES;
            if let Some(old) = tried.filter(|_| !gone) {
                let may_end = &mut ledger.sessions[old].may_end;
                *may_end = may_end.filter(|why| *why != "a login");
            }
            return;
        };
        let place = ledger.sessions.len();
        self.world.say(|| format!("{}: session {place} of {subject} instead of {replaces:?}", self.name));
        let (mut chain, mut is_signed_out) = (place, false);
        if let Some((old, _)) = old {
            let known = &mut ledger.sessions[old];
            if steps_up {
                chain = known.chain;
                // With the cookie of the old one, at another replica, while it was stepped up from.
                is_signed_out = matches!(known.may_end, Some("signed out" | "several attempts"));
            } else {
                known.ended_at.get_or_insert(self.world.now());
            }
        }
        let end = ledger.ended.iter().find(|end| {
            end.subject == subject && end.sid.as_ref().is_none_or(|ended| *ended == sid) && login_issued <= end.up_to
        });
        let ended_at = end.map(|end| end.at);
        let is_reached = ledger.tried.iter().any(|tried| tried.may_reach(subject, &sid, login_issued, began));
        let may_end = (ended_at.is_some() || is_reached || is_signed_out).then_some("ended while it was made");
        let (key, cookie) = (begun.session.store_key(), begun.cookie);
        ledger.sessions.push(Known { key, cookie, subject, sid, family, chain, login_issued, may_end, ended_at });
    }

    pub(super) async fn sign_out(self: Arc<Self>, session: usize) {
        let (cookie, chain) = {
            let ledger = self.world.ledger.lock().unwrap();
            (ledger.sessions[session].cookie.clone(), ledger.sessions[session].chain)
        };
        self.world.say(|| format!("{}: signs session {session} out", self.name));
        let began = self.world.now();
        let Ok(Opened::Live(opened)) = self.sessions.open(&host(), cookie.as_bytes()).await else { return };
        self.world.ledger.lock().unwrap().may_end(|known| known.chain == chain, "signed out");
        let ended = self.sessions.end(&opened, EndReason::SignOut).await;
        if self.is_dead() || ended.is_err() {
            return;
        }
        self.world.say(|| format!("{}: session {session} is signed out", self.name));
        let key = opened.store_key();
        self.world.ledger.lock().unwrap().have_ended(|known| known.key == key, began, self.world.now());
        for grant in opened.grants() {
            self.revoker.revoke(&self.endpoint, Arc::clone(grant), opened.reference());
        }
    }

    /// The provider ends all sessions of a person, or one of its own.
    pub(super) async fn back_channel(self: Arc<Self>, session: usize, all: bool, dated: bool) {
        let (subject, sid) = {
            let ledger = self.world.ledger.lock().unwrap();
            (ledger.sessions[session].subject, ledger.sessions[session].sid.clone())
        };
        let at = if dated { self.world.wall() } else { self.clock.now() };
        let began = self.world.now();
        self.world.say(|| format!("{}: back-channel logout of session {session}, all {all}", self.name));
        let named = {
            let sid = sid.clone();
            move |known: &Known| known.subject == subject && (all || known.sid == sid) && known.login_issued <= at
        };
        let chains = {
            let ledger = self.world.ledger.lock().unwrap();
            let any = |known: &&Known| known.subject == subject && (all || known.sid == sid);
            ledger.sessions.iter().filter(any).map(|known| known.chain).collect::<Vec<_>>()
        };
        self.world.ledger.lock().unwrap().may_end(|known| chains.contains(&known.chain), "back-channel logout");
        let name = format!("person-{subject}");
        let index = if all {
            IndexName::Subject { issuer: ISSUER, subject: &name }
        } else {
            IndexName::Sid { issuer: ISSUER, sid: &sid }
        };
        let place = {
            let tried = &mut self.world.ledger.lock().unwrap().tried;
            let sid = (!all).then(|| sid.clone());
            tried.push(Tried { subject, sid, up_to: dated.then_some(at), over: None });
            tried.len() - 1
        };
        let ended = self.sessions.end_by_index(index, dated.then_some(at), EndReason::BackChannelLogout).await;
        if self.is_dead() {
            return;
        }
        self.world.ledger.lock().unwrap().tried[place].over = Some(self.world.now());
        if let Ok(ended) = ended {
            self.world.say(|| format!("{}: back-channel logout of session {session} is done", self.name));
            let now = self.world.now();
            let mut ledger = self.world.ledger.lock().unwrap();
            // One that has begun while it was ended was named by the index, or is refused.
            ledger.may_end(&named, "back-channel logout");
            // A failover in the middle of it may have lost what refuses such a login.
            if !ledger.failovers.iter().any(|failover| *failover >= began) {
                ledger.have_ended(&named, began, now);
                ledger.ended.push(Ended { subject, sid: (!all).then_some(sid), up_to: at, at: now });
            }
            drop(ledger);
            self.revoke(ended);
        }
    }

    pub(super) async fn revoke_session(self: Arc<Self>, session: usize) {
        let (key, chain) = {
            let ledger = self.world.ledger.lock().unwrap();
            (ledger.sessions[session].key, ledger.sessions[session].chain)
        };
        self.world.say(|| format!("{}: an administrator revokes session {session}", self.name));
        let began = self.world.now();
        self.world.ledger.lock().unwrap().may_end(|known| known.chain == chain, "revoked");
        let ended = self.sessions.end_by_key(key, EndReason::Revoked).await;
        if !self.is_dead()
            && let Ok(ended) = ended
        {
            self.world.ledger.lock().unwrap().have_ended(|known| known.key == key, began, self.world.now());
            self.revoke(ended);
        }
    }

    fn revoke(&self, ended: impl IntoIterator<Item = EndedSession>) {
        for opened in ended.into_iter().filter_map(|ended| ended.opened) {
            for grant in opened.grants() {
                self.revoker.revoke(&self.endpoint, Arc::clone(grant), opened.reference());
            }
        }
    }

    /// Another write of the record.
    pub(super) async fn note_upstream(self: Arc<Self>, session: usize, upstream: u64) {
        let cookie = self.world.ledger.lock().unwrap().sessions[session].cookie.clone();
        if let Ok(Opened::Live(opened)) = self.sessions.open(&host(), cookie.as_bytes()).await {
            let _ = self.sessions.note_upstream(&opened, &format!("upstream-{upstream}")).await;
        }
    }
}
