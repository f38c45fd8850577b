//! The addresses of an application's name.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::vec;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

/// Asks the system for the addresses of one name at every connection.
///
/// Connections take turns among the addresses, so that an application of many addresses is not known by the first of
/// them alone. When the name cannot be looked up, those that were known last serve on.
#[derive(Clone, Debug)]
pub(super) struct Names {
    system: GaiResolver,
    known: Arc<Known>,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Mutex<Vec<SocketAddr>>,
    connections: AtomicUsize,
}

impl Default for Names {
    fn default() -> Self {
        Self { system: GaiResolver::new(), known: Arc::default() }
    }
}

impl Service<Name> for Names {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.system.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (looked_up, known) = (self.system.call(name), Arc::clone(&self.known));
        async move { known.take_turns(looked_up.await.map(Iterator::collect)).map(Vec::into_iter) }.boxed()
    }
}

impl Known {
    fn take_turns(&self, looked_up: io::Result<Vec<SocketAddr>>) -> io::Result<Vec<SocketAddr>> {
        // Nothing panics while it is held.
        let mut known = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        match looked_up {
            Ok(addresses) if !addresses.is_empty() => known.clone_from(&addresses),
            Ok(_) if known.is_empty() => {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
            }
            Err(error) if known.is_empty() => return Err(error),
            Ok(_) | Err(_) => {}
        }
        Ok(rotated(&known, self.connections.fetch_add(1, Ordering::Relaxed)))
    }
}

/// The same addresses, those of the family that the system prefers beginning with another one each time. The families
/// stay in their order: one of them may not work here.
fn rotated(addresses: &[SocketAddr], turn: usize) -> Vec<SocketAddr> {
    let first_is_ipv4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (mut preferred, others): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().partition(|address| address.is_ipv4() == first_is_ipv4);
    if let Some(begin) = turn.checked_rem(preferred.len()) {
        preferred.rotate_left(begin);
    }
    preferred.extend(others);
    preferred
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn connections_take_turns_within_the_preferred_family() {
        let known = Known::default();
        let turn = || known.take_turns(Ok(addresses(&["[::1]:1", "[::2]:1", "10.0.0.1:1", "10.0.0.2:1"]))).unwrap();
        assert_eq!(turn(), addresses(&["[::1]:1", "[::2]:1", "10.0.0.1:1", "10.0.0.2:1"]));
        assert_eq!(turn(), addresses(&["[::2]:1", "[::1]:1", "10.0.0.1:1", "10.0.0.2:1"]));
        assert_eq!(turn(), addresses(&["[::1]:1", "[::2]:1", "10.0.0.1:1", "10.0.0.2:1"]));
    }

    #[test]
    fn without_the_system_what_was_known_last_serves_on() {
        let known = Known::default();
        let away = || Err(io::Error::other("away"));
        assert!(known.take_turns(away()).is_err());
        assert!(known.take_turns(Ok(Vec::new())).is_err());
        for list in [&["10.0.0.1:1"], &["10.0.0.2:1"]] {
            assert_eq!(known.take_turns(Ok(addresses(list))).unwrap(), addresses(list));
            assert_eq!(known.take_turns(away()).unwrap(), addresses(list));
            assert_eq!(known.take_turns(Ok(Vec::new())).unwrap(), addresses(list));
        }
    }
}
