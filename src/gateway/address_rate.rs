//! How many callbacks one user agent's address may bring: counted only where the address is known to be a user agent's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::server::neighbourhood::Neighbourhood;

/// Addresses that are remembered. When there are more, further ones are only held to the limit for everybody.
const MOST_ADDRESSES: usize = 16_384;
/// A bucket that has not been used for this long is full again, and need not be remembered.
const MINUTE: Duration = Duration::from_secs(60);
/// So often the list is searched for buckets to forget, however full it is.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);

/// A bucket for each address, which fills at a steady rate.
#[derive(Debug, Default)]
pub(super) struct AddressRate(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    buckets: HashMap<Neighbourhood, Bucket>,
    searched: Duration,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    used: Duration,
}

impl AddressRate {
    /// Whether one more may go on now, at so many a minute; `now` is monotonic. An address that is not known is not limited: it may be the
    /// ingress of a whole company.
    pub(super) fn admits(&self, per_minute: usize, address: Option<IpAddr>, now: Duration) -> bool {
        let Some(address) = address else { return true };
        let per_minute = f64::from(u32::try_from(per_minute).unwrap_or(u32::MAX));
        let address = Neighbourhood::from(address);
        let mut known = self.known();
        if !known.buckets.contains_key(&address) && !known.has_room(now) {
            return true;
        }
        let bucket = known.buckets.entry(address).or_insert(Bucket { left: per_minute, used: now });
        let since = now.saturating_sub(bucket.used).as_secs_f64() / MINUTE.as_secs_f64();
        bucket.left = (bucket.left + since * per_minute).min(per_minute);
        bucket.used = bucket.used.max(now);
        let admitted = bucket.left >= 1.0;
        if admitted {
            bucket.left -= 1.0;
        }
        admitted
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Plain numbers; a panic elsewhere leaves none of them half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn has_room(&mut self, now: Duration) -> bool {
        if self.buckets.len() >= MOST_ADDRESSES && now.saturating_sub(self.searched) >= SEARCH_INTERVAL {
            self.searched = now;
            self.buckets.retain(|_, bucket| now.saturating_sub(bucket.used) < MINUTE);
        }
        self.buckets.len() < MOST_ADDRESSES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn one_address_is_held_back_and_others_are_not() {
        let rate = AddressRate::default();
        let admitted = |address, now| (0..100).filter(|_| rate.admits(30, address, now)).count();
        assert_eq!(admitted(address("192.0.2.1"), at(5)), 30);
        assert_eq!(admitted(address("::ffff:192.0.2.1"), at(5)), 0, "the same one in another spelling");
        assert_eq!(admitted(address("192.0.2.2"), at(5)), 30);
        assert_eq!(admitted(address("192.0.2.1"), at(15)), 5);
        assert_eq!(admitted(address("192.0.2.1"), at(300)), 30);
    }

    #[test]
    fn a_customer_has_one_share_of_ipv6() {
        let rate = AddressRate::default();
        assert!(
            rate.admits(2, address("2001:db8:1:2::1"), at(1)) && rate.admits(2, address("2001:db8:1:2:ffff::9"), at(1))
        );
        assert!(!rate.admits(2, address("2001:db8:1:2::3"), at(1)));
        assert!(rate.admits(2, address("2001:db8:1:3::1"), at(1)));
    }

    #[test]
    fn an_address_that_is_not_known_is_not_limited() {
        let rate = AddressRate::default();
        assert!((0..100).all(|_| rate.admits(1, None, at(1))));
    }

    #[test]
    fn mm_03_memory_is_bounded_and_a_full_list_limits_nobody_new() {
        let rate = AddressRate::default();
        let nth = |n: usize| Some(IpAddr::from(u32::try_from(n).unwrap().to_be_bytes()));
        (0..MOST_ADDRESSES).for_each(|n| assert!(rate.admits(1, nth(n), at(10))));
        assert!(!rate.admits(1, nth(7), at(10)));
        assert!((0..10).all(|_| rate.admits(1, nth(MOST_ADDRESSES), at(11))));
        assert_eq!(rate.known().buckets.len(), MOST_ADDRESSES);
        // A minute later there is room again.
        assert!(rate.admits(1, nth(MOST_ADDRESSES), at(71)) && !rate.admits(1, nth(MOST_ADDRESSES), at(71)));
        assert_eq!(rate.known().buckets.len(), 1);
    }
}
