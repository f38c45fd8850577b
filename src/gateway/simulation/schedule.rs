//! One schedule: what happens, in which order and when, all drawn from its seed. After it everything is well again, and
//! whoever is still logged in must be served.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::chance::Chance;
use super::ledger;
use super::provider::{Health, Provider};
use super::replica::{Outcome, Replica};
use super::store::Store;
use super::view::Faults;
use super::world::World;
use crate::telemetry::metrics::Metrics;

/// What came of a schedule.
pub(super) struct Report {
    pub(super) violations: Vec<String>,
    pub(super) trace: Vec<String>,
    pub(super) forwarded: u64,
    pub(super) steps: usize,
}

/// Runs the schedule of a seed, or as many of its steps as are given.
pub(super) fn run(seed: u64, metrics: &Arc<Metrics>, at_most: usize, traced: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut schedule = Schedule::set(seed, metrics, traced);
        let steps = schedule.steps.min(at_most);
        schedule.play(steps).await;
        schedule.end_well().await;
        let world = &schedule.world;
        let ledger = world.ledger.lock().unwrap();
        Report { violations: ledger.violations.clone(), trace: world.trace(), forwarded: ledger.forwarded, steps }
    })
}

struct Schedule {
    world: Arc<World>,
    store: Arc<Store>,
    provider: Arc<Provider>,
    metrics: Arc<Metrics>,
    replicas: Vec<Arc<Replica>>,
    /// Draws the steps and nothing else, so that fewer steps are a beginning of the same schedule.
    chance: Chance,
    people: usize,
    steps: usize,
    fails_over: bool,
    started: usize,
    under_way: JoinSet<()>,
}

impl Schedule {
    fn set(seed: u64, metrics: &Arc<Metrics>, traced: bool) -> Self {
        let world = World::new(seed, traced);
        let chance = Chance::new(!seed);
        let (store, provider) = (Store::new(&world), Provider::new(&world));
        let mut schedule = Self {
            people: 1 + chance.place(3),
            steps: 10 + chance.place(31),
            fails_over: chance.once_in(5),
            world,
            store,
            provider,
            metrics: Arc::clone(metrics),
            replicas: Vec::new(),
            chance,
            started: 0,
            under_way: JoinSet::new(),
        };
        for _ in 0..2 + schedule.chance.place(3) {
            let ahead = schedule.skew();
            let replica = schedule.start(ahead, Faults::default());
            schedule.replicas.push(replica);
        }
        schedule
    }

    fn skew(&self) -> i64 {
        i64::try_from(self.chance.below(61)).unwrap() - 30
    }

    fn start(&mut self, ahead: i64, faults: Faults) -> Arc<Replica> {
        let name = format!("replica {}", self.started);
        self.started += 1;
        Replica::start(name, &self.store, &self.provider, &self.metrics, ahead, faults)
    }

    fn any(&self) -> Arc<Replica> {
        Arc::clone(&self.replicas[self.chance.place(self.replicas.len())])
    }

    /// Mostly one of the newest sessions.
    fn any_session(&self) -> Option<usize> {
        let sessions = self.world.ledger.lock().unwrap().sessions.len();
        let oldest = if self.chance.once_in(5) { 0 } else { sessions.saturating_sub(self.people + 1) };
        (sessions > 0).then(|| oldest + self.chance.place(sessions - oldest))
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.under_way.spawn(task);
    }

    async fn play(&mut self, steps: usize) {
        for person in 0..self.people {
            self.any().log_in(person, None, false).await;
        }
        for _ in 0..steps {
            self.step();
            let pause = match self.chance.below(20) {
                0..12 => self.chance.up_to(300),
                12..17 => self.chance.up_to(6_000),
                _ => Duration::from_secs(25) + self.chance.up_to(50_000),
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn step(&mut self) {
        let (what, replica, session) = (self.chance.below(100), self.any(), self.any_session());
        match (what, session) {
            (0..45, Some(session)) => {
                for _ in 0..=self.chance.below(4) {
                    let replica = self.any();
                    self.spawn(async move {
                        replica.request(session).await;
                    });
                }
            }
            (45..55, session) => {
                let steps_up = self.chance.once_in(2);
                let person = match session {
                    Some(session) if self.chance.once_in(2) => {
                        self.world.ledger.lock().unwrap().sessions[session].subject
                    }
                    _ => self.chance.place(self.people),
                };
                let own = |session: &usize| self.world.ledger.lock().unwrap().sessions[*session].subject == person;
                let replaces = session.filter(own);
                self.spawn(replica.log_in(person, replaces, steps_up));
            }
            (55..58, Some(session)) => self.spawn(replica.sign_out(session)),
            (58..61, Some(session)) => {
                let (all, dated) = (self.chance.once_in(2), self.chance.once_in(2));
                self.spawn(replica.back_channel(session, all, dated));
            }
            (61..63, Some(session)) => self.spawn(replica.revoke_session(session)),
            (63..68, Some(session)) => {
                let upstream = self.chance.below(4);
                self.spawn(replica.note_upstream(session, upstream));
            }
            (68..73, _) => self.crash(),
            (73..85, _) => {
                let faults = self.faults();
                self.world.say(|| format!("a replica has {faults:?}"));
                replica.view.set(faults);
            }
            (85..92, _) => {
                let health = self.health();
                self.world.say(|| format!("the provider has {health:?}"));
                self.provider.set(health);
            }
            (92..94, _) => replica.clock.set_ahead(self.skew()),
            (94..96, _) if self.fails_over => {
                let lost = 1 + self.chance.place(4);
                self.world.say(|| format!("failover, {lost} writes lost"));
                self.store.fail_over(lost);
            }
            _ => self.heal(),
        }
    }

    fn crash(&mut self) {
        let place = self.chance.place(self.replicas.len());
        let old = Arc::clone(&self.replicas[place]);
        old.crash();
        self.replicas[place] = self.start(old.clock.ahead(), old.view.faults());
    }

    fn faults(&self) -> Faults {
        let chance = &self.chance;
        let slow = [0, 5, 200, 900, 1_200][chance.place(5)];
        match chance.below(6) {
            0 => Faults { cut: true, ..Faults::default() },
            1 => Faults { deaf: true, slow, ..Faults::default() },
            2 => Faults { failing: 10 + chance.below(60), slow, ..Faults::default() },
            3 => Faults { unanswered: 10 + chance.below(60), slow, ..Faults::default() },
            4 => Faults { slow, ..Faults::default() },
            _ => Faults::default(),
        }
    }

    fn health(&self) -> Health {
        let chance = &self.chance;
        let slow = [0, 100, 3_000, 6_000][chance.place(4)];
        match chance.below(5) {
            0 => Health { down: true, slow, ..Health::default() },
            1 => Health { failing: 10 + chance.below(60), slow, ..Health::default() },
            2 => Health { unanswered: 10 + chance.below(40), slow, ..Health::default() },
            3 => Health { slow, ..Health::default() },
            _ => Health::default(),
        }
    }

    fn heal(&self) {
        self.world.say(|| "everything is well".to_owned());
        self.provider.set(Health::default());
        for replica in &self.replicas {
            replica.view.set(Faults::default());
        }
    }

    /// Liveness, and I4: with everything well, whoever is still logged in is served with the newest tokens.
    async fn end_well(&mut self) {
        self.heal();
        // Long enough for every lease, pause and access token to run out, on every clock.
        tokio::time::sleep(Duration::from_secs(150)).await;
        self.under_way.abort_all();
        let sessions = self.world.ledger.lock().unwrap().sessions.len();
        for session in 0..sessions {
            let mut outcome = self.any().request(session).await;
            if outcome == Outcome::Unavailable {
                tokio::time::sleep(Duration::from_secs(35)).await;
                outcome = self.any().request(session).await;
            }
            self.judge(session, outcome);
            for replica in self.replicas.clone() {
                let outcome = replica.request(session).await;
                self.judge(session, outcome);
            }
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        ledger::returned_tokens_are_revoked(&self.world, &self.provider);
    }

    fn judge(&self, session: usize, outcome: Outcome) {
        let ledger = self.world.ledger.lock().unwrap();
        let (must_live, family) = (ledger.must_live(session), ledger.sessions[session].family);
        drop(ledger);
        let newest = self.provider.families.lock().unwrap()[family].newest();
        match outcome {
            Outcome::Forwarded(Some(rotation)) if rotation == newest || !must_live => {}
            // Whether that is right has been looked at.
            Outcome::Denied => {}
            // An answer was lost, and it is tried once more.
            Outcome::Forwarded(_) => {
                self.world.violated(format!("I4: session {session} has lost its tokens: {outcome:?}, newest {newest}"));
            }
            _ => self.world.violated(format!("liveness: session {session}: {outcome:?}")),
        }
    }
}
