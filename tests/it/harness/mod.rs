//! The actors: a provider that can misbehave, an upstream that records, a browser, and raw bytes.
//!
//! Nothing here sleeps: tests wait for what they count, with a limit after which they fail.

#![allow(dead_code, reason = "the actors are whole; not every one of their abilities is in use at any time")]

pub mod asked;
pub mod asking_proxy;
pub mod behaviour;
pub mod browser;
pub mod by_hand;
pub mod captured;
pub mod certified_provider;
pub mod chromium;
pub mod cookie_jar;
pub mod counted;
pub mod counter;
pub mod crowd;
pub mod failing_entropy;
pub mod failing_store;
pub mod frames;
pub mod fronting_proxy;
pub mod gateway;
pub mod heap;
pub mod html;
pub mod http2_client;
pub mod journey;
pub mod keycloak;
pub mod login_steps;
pub mod logout_stage;
pub mod loopback;
pub mod page;
pub mod peer_process;
pub mod peer_stage;
pub mod program;
pub mod provider;
pub mod raw;
pub mod real_servers;
pub mod received;
pub mod redis_server;
pub mod relay;
pub mod replicas;
pub mod said;
pub mod scripted_server;
pub mod seeded;
pub mod signing;
pub mod site;
pub mod spelled_out;
pub mod step_up_stage;
pub mod target_grammar;
pub mod tls;
pub mod upstream;
pub mod watched_redis;

use std::time::Duration;

/// After this a test that waits for something has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future`, but not longer than [`PATIENCE`]; `what` is what was waited for.
pub async fn patiently<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}
