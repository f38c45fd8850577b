//! Addresses that count as one, and how many connections each of them has.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// An IPv4 address, or the /64 that one IPv6 customer has all of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Neighbourhood(IpAddr);

impl From<IpAddr> for Neighbourhood {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            v4 => v4,
        })
    }
}

/// The connections that are open, by address; what is remembered is bounded by their number.
#[derive(Debug, Default)]
pub(super) struct Neighbours(Mutex<HashMap<Neighbourhood, usize>>);

/// One connection of an address; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Neighbour {
    all: Arc<Neighbours>,
    address: Neighbourhood,
}

impl Neighbours {
    /// Counts one more of `address`; `None` when it has `most` already.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Neighbour> {
        let address = Neighbourhood::from(address);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.entry(address).or_default();
        if *open >= most {
            return None;
        }
        *open += 1;
        Some(Neighbour { all: Arc::clone(self), address })
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut open) = all.entry(self.address) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sl_06_one_address_has_so_many_and_nothing_is_remembered_of_the_closed() {
        let all = Arc::new(Neighbours::default());
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let first = all.enter(address("2001:db8::1"), 2).unwrap();
        let second = all.enter(address("2001:db8::ffff"), 2).unwrap();
        assert!(all.enter(address("2001:db8::2"), 2).is_none(), "one network");
        let other = all.enter(address("::ffff:192.0.2.1"), 1).unwrap();
        assert!(all.enter(address("192.0.2.1"), 1).is_none(), "one address");
        drop(first);
        let third = all.enter(address("2001:db8::2"), 2).unwrap();
        drop((second, third, other));
        assert!(all.0.lock().unwrap().is_empty());
    }
}
