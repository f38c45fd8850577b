//! How often one peer may show a wrong token: a few times at once, then a few times a minute.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Wrong tokens that one peer may show at once.
const AT_ONCE: u32 = 10;
/// After so long it may show another one.
const REFILL: Duration = Duration::from_secs(6);
/// Peers that are remembered; what there is of others is counted as one peer.
const MOST_PEERS: usize = 1024;
/// Who cannot be told from others: peers at a Unix socket, and those for whom there is no room.
const THE_OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Wrong tokens, by who has shown them. All times are monotonic.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, Bucket>>);

#[derive(Debug)]
struct Bucket {
    /// When it will be as if nothing had happened.
    clear_at: Duration,
}

impl Failures {
    /// Whether this peer may show a token now.
    pub(super) fn admits(&self, peer: Option<IpAddr>, now: Duration) -> bool {
        let failures = self.lock();
        let bucket = failures.get(&name(&failures, peer));
        bucket.is_none_or(|bucket| bucket.clear_at.saturating_sub(now) <= REFILL * (AT_ONCE - 1))
    }

    /// This peer has shown a wrong token.
    pub(super) fn note(&self, peer: Option<IpAddr>, now: Duration) {
        let mut failures = self.lock();
        if failures.len() >= MOST_PEERS {
            failures.retain(|_, bucket| bucket.clear_at > now);
        }
        let name = name(&failures, peer);
        let bucket = failures.entry(name).or_insert(Bucket { clear_at: now });
        bucket.clear_at = bucket.clear_at.max(now).saturating_add(REFILL);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Bucket>> {
        // Plain numbers; a panic elsewhere leaves none of them half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(failures: &HashMap<IpAddr, Bucket>, peer: Option<IpAddr>) -> IpAddr {
    let peer = peer.unwrap_or(THE_OTHERS);
    if failures.len() < MOST_PEERS || failures.contains_key(&peer) { peer } else { THE_OTHERS }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn a_peer_that_guesses_waits_and_nobody_else_does() {
        let (failures, now) = (Failures::default(), Duration::from_secs(100));
        for _ in 0..AT_ONCE {
            assert!(failures.admits(peer(1), now));
            failures.note(peer(1), now);
        }
        assert!(!failures.admits(peer(1), now));
        assert!(failures.admits(peer(2), now) && failures.admits(None, now));
        assert!(!failures.admits(peer(1), now + REFILL - Duration::from_millis(1)));
        assert!(failures.admits(peer(1), now + REFILL));
        failures.note(peer(1), now + REFILL);
        assert!(!failures.admits(peer(1), now + REFILL));
    }

    #[test]
    fn mm_03_what_is_remembered_is_bounded_and_an_army_of_peers_is_one() {
        let (failures, now) = (Failures::default(), Duration::ZERO);
        for number in 1..=100_000 {
            failures.note(peer(number), now);
        }
        assert!(failures.lock().len() <= MOST_PEERS + 1);
        assert!(!failures.admits(peer(200_000), now));
        assert!(failures.admits(peer(1), now), "who is known is not held liable for them");
        failures.note(peer(200_000), now + REFILL * 200_000);
        assert_eq!(failures.lock().len(), 1);
    }
}
