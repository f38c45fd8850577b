//! Sockets: listeners, TLS, limits, drain; generic over a tower `Service`, so it cannot know the gateway.

pub mod connection_info;
pub mod drain;
pub mod entrance;
pub mod listener;
pub mod neighbourhood;
pub mod observer;
pub mod proxy_protocol;
pub mod serve;
pub mod settings;
mod tls;
pub mod trusted_proxies;

mod arrival;
mod connection;
mod deadline;
mod occupancy;
mod private_socket;
mod protocol;
mod room;
mod service;
mod socket;
mod stream;
mod untaken;

pub use connection_info::{ConnectionInfo, Stay};
pub use drain::Shutdown;
pub use entrance::{Entrance, SharedEntrance};
pub use listener::{ListenError, Listener};
pub use observer::{ConnectionEnd, ConnectionObserver, Malformed};
pub use serve::serve;

#[cfg(test)]
mod tests;
