//! Which target gets a request.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::endpoint::Endpoint;
use crate::upstream::settings::{Balance, MOST_TARGETS};

/// Chooses among targets.
#[derive(Debug)]
pub(super) struct Balancer {
    /// At least one and at most [`MOST_TARGETS`].
    endpoints: Box<[Arc<Endpoint>]>,
    first: Arc<Endpoint>,
    balance: Balance,
    random: RandomState,
    draws: AtomicU64,
}

/// The targets that one request has been refused by; a bit for each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tried(u64);

impl Balancer {
    /// `None` when there is nothing to choose from. Of more than [`MOST_TARGETS`] the others get nothing.
    pub(super) fn new(mut endpoints: Vec<Arc<Endpoint>>, balance: Balance) -> Option<Self> {
        endpoints.truncate(MOST_TARGETS);
        let (first, endpoints) = (Arc::clone(endpoints.first()?), endpoints.into());
        Some(Self { endpoints, first, balance, random: RandomState::new(), draws: AtomicU64::new(0) })
    }

    pub(super) const fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// Whether there are targets that a request has not been refused by.
    pub(super) fn has_others(&self, tried: Tried) -> bool {
        self.all() & !tried.0 != 0
    }

    /// The target for a request of `session`, another than those it has tried if that can be. When none is well, all are
    /// tried: a check that is wrong must not take the application away.
    pub(super) fn choose(&self, session: Option<u64>, tried: Tried) -> (&Arc<Endpoint>, Tried) {
        if self.endpoints.len() == 1 {
            return (&self.first, Tried(1));
        }
        let well = self.which(|endpoint| !endpoint.is_out());
        let preferred = [well & !tried.0, self.all() & !tried.0, well, self.all()];
        let candidates = preferred.into_iter().find(|set| *set != 0).unwrap_or_default();
        let chosen = match (self.balance, session) {
            (Balance::Session, Some(session)) => self.of_session(session, candidates),
            _ => self.least_loaded(candidates),
        };
        let chosen = chosen.and_then(|index| Some((self.endpoints.get(index)?, Tried(1 << index))));
        chosen.unwrap_or((&self.first, Tried(1)))
    }

    /// Of two drawn at random the one with fewer requests; one with room for more before one without.
    fn least_loaded(&self, candidates: u64) -> Option<usize> {
        let free = candidates & self.which(|endpoint| !endpoint.is_full());
        let candidates = if free == 0 { candidates } else { free };
        let random = self.random.hash_one(self.draws.fetch_add(1, Ordering::Relaxed));
        let first = nth(candidates, below(random as u32, candidates.count_ones()))?;
        let others = candidates & !(1 << first);
        let second = nth(others, below((random >> 32) as u32, others.count_ones())).unwrap_or(first);
        let requests = |index: usize| self.endpoints.get(index).map_or(usize::MAX, |endpoint| endpoint.requests());
        Some(if requests(second) < requests(first) { second } else { first })
    }

    /// The one with the highest score for this session: when a target goes, only its own sessions move.
    fn of_session(&self, session: u64, candidates: u64) -> Option<usize> {
        let score = |endpoint: &Arc<Endpoint>| mixed(session ^ endpoint.number());
        let candidates = self.endpoints.iter().enumerate().filter(|(index, _)| candidates & (1 << index) != 0);
        candidates.max_by_key(|(_, endpoint)| score(endpoint)).map(|(index, _)| index)
    }

    fn all(&self) -> u64 {
        self.which(|_| true)
    }

    fn which(&self, wanted: impl Fn(&Endpoint) -> bool) -> u64 {
        let bits = self.endpoints.iter().take(MOST_TARGETS).enumerate();
        bits.fold(0, |set, (index, endpoint)| set | (u64::from(wanted(endpoint)) << index))
    }
}

impl Tried {
    /// With those of `other`.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn count(self) -> u32 {
        self.0.count_ones()
    }
}

/// A number below `count` from a random one, alike for all.
fn below(random: u32, count: u32) -> u32 {
    ((u64::from(random) * u64::from(count)) >> 32) as u32
}

/// The place of the bit that `before` others stand before.
fn nth(mut set: u64, before: u32) -> Option<usize> {
    for _ in 0..before {
        set &= set.wrapping_sub(1);
    }
    (set != 0).then(|| set.trailing_zeros() as usize)
}

/// Every bit of the result depends on every one of `number` (the finaliser of SplitMix64).
const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
