//! Vestibule: an authentication gateway in front of web applications that have no login of their own.
//!
//! The library holds everything but the arguments of the process; `ARCHITECTURE.md` is the map.

pub mod admin;
pub mod app;
pub mod claims;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cookie;
pub mod demo;
pub mod entropy;
pub mod gateway;
pub mod oidc;
pub mod origin;
pub mod policy;
pub mod provider;
pub mod return_to;
pub mod secret;
pub mod server;
pub mod session;
pub mod signing_key;
pub mod telemetry;
pub mod tls;
pub mod upstream;
