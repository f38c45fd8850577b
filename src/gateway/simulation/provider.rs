//! The provider of a schedule: every refresh gives a new refresh token, and whoever shows a spent one ends the grant.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::view::View;
use super::world::World;
use crate::clock::Clock;
use crate::gateway::token_endpoint::TokenEndpoint;
use crate::oidc::token_response::Tokens;
use crate::provider::refresh::{RefreshContext, RefreshError, Refreshed};
use crate::provider::revocation::Revocation;
use crate::secret::{AccessToken, RefreshToken};
use crate::telemetry::labels::RefreshOutcome;

/// How long an access token lives.
pub(super) const ACCESS_LIFETIME: Duration = Duration::from_secs(60);
/// How long a token call may take.
const CALL_TIME: u64 = 10_000;
/// Nobody else has a lease this soon after the call was sent: it is taken for 15 s, and the call is made at once.
const LEASE_HOLDS: u64 = 11_000;
/// How long a lease that a failover has lost would still have been held.
const LEASE: u64 = 15_000;

/// How the provider is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Health {
    pub(super) down: bool,
    /// Of a hundred calls so many are refused before anything is done.
    pub(super) failing: u64,
    /// Of a hundred answers so many are lost.
    pub(super) unanswered: u64,
    /// Milliseconds that a call may take each way.
    pub(super) slow: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    UnderWay,
    Lost,
    /// At this time.
    Delivered(u64),
}

/// Who got the newest refresh token.
pub(super) struct Holder {
    pub(super) view: Arc<View>,
    pub(super) sent: u64,
    pub(super) fate: Fate,
}

/// Everything that one login was granted.
#[derive(Default)]
pub(super) struct Family {
    refresh_tokens: Vec<RefreshToken>,
    pub(super) holder: Option<Holder>,
    /// So many answers were lost.
    pub(super) uncertain: u32,
    pub(super) revoked: bool,
    /// Somebody has shown a spent token.
    pub(super) reused: bool,
}

impl Family {
    /// Counts the rotations.
    pub(super) fn newest(&self) -> usize {
        self.refresh_tokens.len() - 1
    }
}

pub(super) struct Provider {
    world: Arc<World>,
    health: Mutex<Health>,
    pub(super) last_trouble: Mutex<u64>,
    pub(super) families: Mutex<Vec<Family>>,
}

fn access_token(family: usize, number: usize) -> AccessToken {
    AccessToken::new(format!("access-{family}-{number}"))
}

impl Provider {
    pub(super) fn new(world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            health: Mutex::default(),
            last_trouble: Mutex::default(),
            families: Mutex::default(),
        })
    }

    pub(super) fn set(&self, health: Health) {
        *self.health.lock().unwrap() = health;
        *self.last_trouble.lock().unwrap() = self.world.now();
    }

    /// A login is granted something.
    pub(super) fn grant(&self, clock: &dyn Clock) -> (usize, Tokens) {
        let mut families = self.families.lock().unwrap();
        families.push(Family::default());
        let family = families.len() - 1;
        let tokens = issue(&mut families[family], family, clock);
        (family, tokens)
    }

    /// Which rotation of a family an access token came with.
    pub(super) fn rotation(&self, family: usize, token: &AccessToken) -> Option<usize> {
        let newest = self.families.lock().unwrap()[family].newest();
        (0..=newest).rev().find(|number| *token == access_token(family, *number))
    }

    fn find(&self, token: &RefreshToken) -> Option<(usize, usize)> {
        let families = self.families.lock().unwrap();
        families.iter().enumerate().find_map(|(family, known)| {
            Some((family, known.refresh_tokens.iter().rposition(|issued| issued == token)?))
        })
    }

    /// Why a spent token may be shown although the one that came for it was issued.
    fn excuse(&self, holder: &Holder) -> Option<&'static str> {
        let ledger = self.world.ledger.lock().unwrap();
        let now = self.world.now();
        if holder.view.is_dead() {
            Some("crash")
        } else if holder.fate == Fate::Lost {
            Some("lost answer")
        } else if ledger.failovers.iter().any(|at| at + LEASE >= holder.sent) {
            Some("failover")
        } else if holder.view.failed_since(holder.sent) && now >= holder.sent + LEASE_HOLDS {
            Some("store away for as long as the lease")
        } else {
            None
        }
    }

    fn spend(&self, token: &RefreshToken, endpoint: &Endpoint, sent: u64) -> Result<(usize, Tokens), RefreshError> {
        let (family, number) = self.find(token).expect("only what was issued is shown");
        let mut families = self.families.lock().unwrap();
        let known = &mut families[family];
        if known.revoked {
            self.world.say(|| format!("provider: {family}.{number} refused, its grant is revoked"));
            return Err(RefreshError::Rejected);
        }
        if number != known.newest() {
            known.revoked = true;
            known.reused = true;
            let excuse = known.holder.as_ref().and_then(|holder| self.excuse(holder));
            self.world.say(|| format!("provider: {family}.{number} is spent, excuse {excuse:?}"));
            if excuse.is_none() {
                self.world.violated(format!("I2: refresh token {family}.{number} shown again by {}", endpoint.name));
            }
            return Err(RefreshError::Rejected);
        }
        let tokens = issue(known, family, &*endpoint.clock);
        known.holder = Some(Holder { view: Arc::clone(&endpoint.view), sent, fate: Fate::UnderWay });
        self.world.say(|| format!("provider: {family}.{number} spent by {}", endpoint.name));
        Ok((family, tokens))
    }

    fn fate(&self, family: usize, fate: Fate) {
        if let Some(holder) = &mut self.families.lock().unwrap()[family].holder {
            holder.fate = fate;
        }
    }
}

fn issue(known: &mut Family, family: usize, clock: &dyn Clock) -> Tokens {
    let number = known.refresh_tokens.len();
    let text = format!("refresh-{family}-{number}");
    known.refresh_tokens.push(RefreshToken::new(text.clone()));
    Tokens {
        access_token: access_token(family, number),
        access_expires: Some(clock.now().plus(ACCESS_LIFETIME)),
        refresh_token: Some(RefreshToken::new(text)),
        id_token: None,
        scopes: Vec::new(),
    }
}

/// The provider as one replica reaches it.
pub(super) struct Endpoint {
    pub(super) provider: Arc<Provider>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) view: Arc<View>,
    pub(super) name: String,
}

impl Endpoint {
    async fn travel(&self) -> u64 {
        let slow = self.provider.health.lock().unwrap().slow;
        let time = self.provider.world.chance.up_to(slow.max(3));
        tokio::time::sleep(time).await;
        u64::try_from(time.as_millis()).unwrap()
    }

    /// Of a process that is no more nothing comes back.
    async fn live(&self) {
        if self.view.is_dead() {
            pending::<()>().await;
        }
    }
}

impl TokenEndpoint for Endpoint {
    fn label(&self) -> &'static str {
        "simulated"
    }

    fn is_openid(&self) -> bool {
        true
    }

    fn count_refresh(&self, _: RefreshOutcome) {}

    async fn refresh(&self, token: &RefreshToken, _: &RefreshContext<'_>) -> Result<Refreshed, RefreshError> {
        let (world, sent) = (&self.provider.world, self.provider.world.now());
        let there = self.travel().await;
        // What was sent before a crash may still arrive.
        if self.view.is_dead() && world.chance.once_in(2) {
            return pending().await;
        }
        let health = *self.provider.health.lock().unwrap();
        if health.down || world.chance.percent(health.failing) {
            self.live().await;
            // A call that was never answered may not have arrived either.
            return if world.chance.once_in(4) {
                tokio::time::sleep(Duration::from_millis(CALL_TIME.saturating_sub(there))).await;
                let family = self.provider.find(token).map(|(family, _)| family);
                self.provider.families.lock().unwrap()[family.unwrap()].uncertain += 1;
                self.live().await;
                Err(RefreshError::Uncertain)
            } else {
                Err(RefreshError::Unavailable { kind: "told-to-fail" })
            };
        }
        let spent = self.provider.spend(token, self, sent);
        let back = self.travel().await;
        self.live().await;
        let lost = there + back >= CALL_TIME || world.chance.percent(health.unanswered);
        match spent {
            Ok((family, tokens)) if !lost => {
                self.provider.fate(family, Fate::Delivered(world.now()));
                Ok(Refreshed { tokens, identity: None })
            }
            Err(error) if !lost => Err(error),
            spent => {
                tokio::time::sleep(Duration::from_millis(CALL_TIME.saturating_sub(there + back))).await;
                if let Some((family, _)) = self.provider.find(token) {
                    self.provider.families.lock().unwrap()[family].uncertain += 1;
                }
                if let Ok((family, _)) = spent {
                    self.provider.fate(family, Fate::Lost);
                }
                self.live().await;
                Err(RefreshError::Uncertain)
            }
        }
    }

    async fn revoke(&self, tokens: &Tokens) -> Revocation {
        self.travel().await;
        self.live().await;
        if self.provider.health.lock().unwrap().down {
            return Revocation::Failed;
        }
        if let Some((family, _)) = tokens.refresh_token.as_ref().and_then(|token| self.provider.find(token)) {
            self.provider.world.say(|| format!("provider: grant {family} revoked by {}", self.name));
            self.provider.families.lock().unwrap()[family].revoked = true;
        }
        Revocation::Revoked
    }
}
