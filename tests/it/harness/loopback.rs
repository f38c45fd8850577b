//! Addresses for servers that have to be told one.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU8, Ordering};

/// An address that nobody listens on. It lies in a corner of the loopback network that only this process uses: on
/// 127.0.0.1 somebody could take the port before the server does.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed));
    TcpListener::bind((address, 0)).and_then(|listener| listener.local_addr()).expect("a free port on loopback")
}
