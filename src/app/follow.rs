//! Follows the files of the configuration: SIGHUP, a change that the system tells of, or a look now and then.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::MissedTickBehavior;

use super::World;
use super::notify_socket::{NotifySocket, ServiceState};
use super::reload::Reloader;
use super::watch::{self, Watch};
use crate::admin::readiness::Phase;
use crate::config::{self, ConfigError, Loaded, Problem, Sources, SystemEnvironment};
use crate::entropy::SystemEntropy;
use crate::telemetry::labels::ReloadOutcome;
use crate::telemetry::logging::LevelHandle;

/// File systems over a network, and systems without room for another watch, tell nothing: so often somebody looks.
const LOOK: Duration = Duration::from_secs(30);

/// Brings what is on disk into force.
pub(super) struct Follower {
    path: PathBuf,
    reloader: Arc<Reloader>,
    level: Option<LevelHandle>,
    service: Arc<NotifySocket>,
    /// The files of the configuration in force.
    in_force: Sources,
    /// Those that were read last, in force or refused: the same files are not refused twice.
    seen: Sources,
    watch: Watch,
}

impl Follower {
    /// `None` for a configuration that comes from no file.
    pub(super) fn new(
        sources: Sources,
        reloader: Arc<Reloader>,
        level: Option<LevelHandle>,
        service: Arc<NotifySocket>,
    ) -> Option<Self> {
        let path = sources.file()?.to_owned();
        let (seen, watch) = (sources.clone(), Watch::new());
        Some(Self { path, reloader, level, service, seen, in_force: sources, watch })
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self, mut hangup: Signal) {
        self.follow().await;
        // What has changed between the reading and the watching.
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_ordered = tokio::select! {
                Some(()) = hangup.recv() => true,
                () = self.watch.changed() => false,
                _ = look.tick() => false,
            };
            if is_ordered || self.have_changed().await {
                self.reload(is_ordered).await;
            }
            self.follow().await;
        }
    }

    /// Reloads, and tells the service manager when that begins and when it is over, whatever came of it.
    async fn reload(&mut self, is_ordered: bool) {
        // Until the start is over it alone is told of: the `Ready` of a reload would end it.
        let is_told = self.reloader.lasting().world.readiness.phase() == Phase::Ready;
        if is_told {
            self.service.tell(ServiceState::Reloading).await;
        }
        self.read(is_ordered).await;
        if is_told {
            self.service.tell(ServiceState::Ready).await;
        }
    }

    /// Reads everything again, and brings it into force if it is good and new.
    async fn read(&mut self, is_ordered: bool) {
        let path = self.path.clone();
        let read = move || config::load(&path, &SystemEnvironment, &SystemEntropy);
        let Ok(read) = tokio::task::spawn_blocking(read).await else { return };
        match read {
            Ok(loaded) => {
                self.seen = loaded.sources.clone();
                if loaded.sources == self.in_force {
                    self.unchanged(is_ordered).await;
                } else {
                    self.bring_into_force(loaded).await;
                }
            }
            Err(refused) => {
                self.seen = refused.sources().clone();
                self.refused(&refused);
            }
        }
    }

    async fn bring_into_force(&mut self, loaded: Loaded) {
        let Loaded { settings, warnings, sources } = loaded;
        let level = settings.log.level;
        match self.reloader.reload(settings).await {
            Ok(reloaded) => {
                self.in_force = sources;
                if let Some(handle) = &self.level {
                    handle.set(level);
                }
                self.outcome(ReloadOutcome::Ok);
                tell_in_force(&self.reloader.lasting().world, &self.in_force);
                let digest = self.in_force.digest();
                let generation = self.reloader.lasting().world.readiness.in_force().map(|in_force| in_force.generation);
                tracing::info!(event = "config.reloaded", digest, generation);
                if reloaded.key_rotated {
                    tracing::info!(event = "key.rotated", "sessions are sealed under another key from now on");
                }
                warn_of(&warnings);
            }
            Err(error) => {
                let file = self.path.display();
                tracing::error!(event = "config.rejected", "{file}: {error}; the configuration in force stays");
                self.outcome(ReloadOutcome::Rejected);
            }
        }
    }

    async fn unchanged(&self, is_ordered: bool) {
        self.outcome(ReloadOutcome::Unchanged);
        tracing::info!(event = "config.unchanged", digest = self.in_force.digest());
        if is_ordered {
            // Whoever asks for a reload without having changed a file may wait for a provider that has moved.
            self.reloader.rediscover().await;
        }
    }

    fn refused(&self, refused: &ConfigError) {
        for problem in refused.problems() {
            tracing::error!(event = "config.rejected", "{}; the configuration in force stays", problem.one_line());
        }
        warn_of(refused.warnings());
        self.outcome(ReloadOutcome::Rejected);
    }

    fn outcome(&self, outcome: ReloadOutcome) {
        self.reloader.lasting().world.metrics.config.read(outcome);
        self.reloader.lasting().world.readiness.set_refused(outcome == ReloadOutcome::Rejected);
    }

    async fn have_changed(&self) -> bool {
        let seen = self.seen.clone();
        tokio::task::spawn_blocking(move || seen.have_changed(&SystemEnvironment)).await.unwrap_or(false)
    }

    /// Watches what was read last: a file that was refused for what is missing is tried again when that comes.
    async fn follow(&mut self) {
        let sources = self.seen.clone();
        let directories = tokio::task::spawn_blocking(move || watch::directories(sources.paths())).await;
        if let Ok(directories) = directories {
            self.watch.follow(directories);
        }
    }
}

/// What probes and metrics say of a configuration that has just come into force, if it comes from a file.
pub(super) fn tell_in_force(world: &World, sources: &Sources) {
    if sources.file().is_some() {
        let now = world.clock.now();
        world.readiness.set_in_force(sources.digest(), now);
        world.metrics.config.in_force_since(now.as_seconds());
    }
}

/// What an operator should know about a configuration.
pub(super) fn warn_of(warnings: &[Problem]) {
    for warning in warnings {
        tracing::warn!(event = "config.warning", "{}", warning.one_line());
    }
}
