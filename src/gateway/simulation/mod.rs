//! A randomised simulation of several gateways on one store and one provider: the sessions and the refresher of the
//! program, with everything around them drawn from a seed.
//!
//! Replicas crash, are cut off, lose announcements and have wrong clocks; the store is slow, fails, loses answers after it
//! has written, and a failover loses its last writes; the provider rotates refresh tokens, ends a grant whose spent token
//! is shown, is slow, fails, and loses answers. Whatever happens, this holds:
//!
//! - I1: no request is forwarded after a logout was acknowledged and its bound has passed.
//! - I2: a spent refresh token is shown again only where nobody could know that it is spent: after a crash, a lost answer
//!   of the provider, a failover, or an outage of the store that is longer than the lease.
//! - I3: a session ends only by what ends a session, by reuse that I2 excuses, or by a failover.
//! - I4: once everything is well, whoever is still logged in is served, with the newest tokens.
//!
//! The runtime's time is paused and runs on one thread, so the same seed is the same schedule.

mod chance;
mod ledger;
mod operations;
mod provider;
mod replica;
mod schedule;
mod store;
mod view;
mod world;

use std::sync::Arc;

use crate::telemetry::metrics::Metrics;

/// Each of two threads runs so many schedules.
const SCHEDULES: u64 = if cfg!(feature = "long-simulation") { 50_000 } else { 300 };

fn simulate(seeds: std::ops::Range<u64>) {
    let metrics = Arc::new(Metrics::new());
    let mut forwarded = 0;
    for seed in seeds {
        let report = schedule::run(seed, &metrics, usize::MAX, false);
        if !report.violations.is_empty() {
            explain(seed, report.steps, &metrics);
        }
        forwarded += report.forwarded;
    }
    assert!(forwarded > 0, "nobody was ever served");
}

/// Runs it again, as short as it still goes wrong, and shows what has happened.
fn explain(seed: u64, steps: usize, metrics: &Arc<Metrics>) -> ! {
    let fewest = (0..=steps).find(|fewest| !schedule::run(seed, metrics, *fewest, false).violations.is_empty());
    let report = schedule::run(seed, metrics, fewest.unwrap_or(steps), true);
    panic!("seed {seed}, {} of {steps} steps: {:#?}\n{}", report.steps, report.violations, report.trace.join("\n"),);
}

#[test]
fn the_invariants_hold_in_every_schedule_of_the_first_half() {
    simulate(0..SCHEDULES);
}

#[test]
fn the_invariants_hold_in_every_schedule_of_the_second_half() {
    simulate(SCHEDULES..2 * SCHEDULES);
}

#[test]
fn a_seed_is_a_schedule() {
    let metrics = Arc::new(Metrics::new());
    for seed in 0..60 {
        let [once, again] = [(); 2].map(|()| schedule::run(seed, &metrics, usize::MAX, true).trace);
        assert!(!once.is_empty());
        let differs = once.iter().zip(&again).find(|(one, other)| one != other);
        assert!(once.len() == again.len() && differs.is_none(), "seed {seed}: {differs:?}");
    }
}
