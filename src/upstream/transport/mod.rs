//! How requests reach an application: its targets, which of them gets a request, and the connections to each.

mod balancer;
mod carried;
mod check;
mod client;
mod connector;
mod endpoint;
mod health;
mod http1;
mod http2;
mod names;
mod pool;
mod repeat;
mod room;
mod stream;

pub(in crate::upstream) use carried::Carried;
pub(in crate::upstream) use client::{Answer, Sending, Switched, Targets};
pub(in crate::upstream) use connector::ConnectError;
pub(in crate::upstream) use connector::Wanted;
pub(in crate::upstream) use endpoint::Endpoint;
pub(in crate::upstream) use http1::Failed;
