//! How many WebSockets are open: of one session, and of one user agent's address where it is known.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::server::neighbourhood::Neighbourhood;
use crate::server::settings::Limits;
use crate::telemetry::labels::Limit;

/// The WebSockets that are open; what is remembered is bounded by the connections that carry them.
#[derive(Debug, Default)]
pub(super) struct WebSockets(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    /// By the bytes of their names in the store, which stay the same when keys change.
    sessions: HashMap<[u8; 32], usize>,
    addresses: HashMap<Neighbourhood, usize>,
}

/// One WebSocket's place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct WebSocketPlace {
    all: Arc<WebSockets>,
    session: Option<[u8; 32]>,
    address: Option<Neighbourhood>,
}

impl WebSockets {
    /// A place for one more of this session, if there is one, and of this address, if it is known.
    ///
    /// # Errors
    /// The limit that has been reached.
    pub(super) fn enter(
        self: &Arc<Self>,
        limits: &Limits,
        session: Option<[u8; 32]>,
        address: Option<IpAddr>,
    ) -> Result<WebSocketPlace, Limit> {
        let address = address.map(Neighbourhood::from);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if session.is_some_and(|session| {
            open.sessions.get(&session).is_some_and(|open| *open >= limits.websockets_per_session)
        }) {
            return Err(Limit::WebSocketsPerSession);
        }
        if address.is_some_and(|address| {
            open.addresses.get(&address).is_some_and(|open| *open >= limits.websockets_per_address)
        }) {
            return Err(Limit::WebSocketsPerAddress);
        }
        if let Some(session) = session {
            *open.sessions.entry(session).or_default() += 1;
        }
        if let Some(address) = address {
            *open.addresses.entry(address).or_default() += 1;
        }
        Ok(WebSocketPlace { all: Arc::clone(self), session, address })
    }
}

impl Drop for WebSocketPlace {
    fn drop(&mut self) {
        let mut open = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = self.session {
            give_back(&mut open.sessions, session);
        }
        if let Some(address) = self.address {
            give_back(&mut open.addresses, address);
        }
    }
}

fn give_back<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    let std::collections::hash_map::Entry::Occupied(mut count) = counts.entry(key) else { return };
    *count.get_mut() -= 1;
    if *count.get() == 0 {
        count.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_and_addresses_have_their_own_limits_and_nothing_is_remembered_of_the_closed() {
        let all = Arc::new(WebSockets::default());
        let limits = Limits { websockets_per_session: 2, websockets_per_address: 3, ..Limits::default() };
        let here = Some("2001:db8::1".parse().unwrap());
        let (a, b) = (Some([1; 32]), Some([2; 32]));
        let mut places: Vec<_> = (0..2).map(|_| all.enter(&limits, a, here).unwrap()).collect();
        assert_eq!(all.enter(&limits, a, None).unwrap_err(), Limit::WebSocketsPerSession);
        places.push(all.enter(&limits, None, Some("2001:db8::2".parse().unwrap())).unwrap());
        assert_eq!(all.enter(&limits, b, here).unwrap_err(), Limit::WebSocketsPerAddress);
        places.push(all.enter(&limits, b, None).unwrap());
        assert!(
            (0..10).all(|_| all.enter(&limits, None, None).is_ok()),
            "without either, only connections are limited"
        );
        places.remove(0);
        places.push(all.enter(&limits, a, here).unwrap());
        places.clear();
        let open = all.0.lock().unwrap();
        assert!(open.sessions.is_empty() && open.addresses.is_empty());
    }
}
