//! Sockets: listeners, limits, drain; generic over a tower `Service`, so it cannot know the gateway.

pub mod connection;
pub mod connection_info;
pub mod drain;
pub mod listener;
pub mod observer;
pub mod settings;
pub mod trusted_proxies;

mod deadline;
mod occupancy;
mod private_socket;
mod room;
mod service;
mod socket;

pub use connection::serve;
pub use connection_info::ConnectionInfo;
pub use drain::Shutdown;
pub use listener::{ListenError, Listener};
pub use observer::{ConnectionEnd, ConnectionObserver, Malformed};
