//! `vestibule serve`: runs a gateway until a signal ends it.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::follow::{self, Follower};
use super::{Listeners, NotifySocket, Running, ServiceState, StartError, World, start};
use crate::clock::SystemClock;
use crate::config::{Loaded, SystemEnvironment};
use crate::entropy::SystemEntropy;
use crate::gateway::settings::{MemoryShare, Settings};
use crate::server::Listener;
use crate::server::settings::ListenAddress;
use crate::session::settings::StoreSettings;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::audit_file::AuditFile;
use crate::telemetry::line_queue::LineQueue;
use crate::telemetry::logging::{self, LevelHandle};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::panics;
use crate::telemetry::settings::{AuditSink, LogSettings};

/// How long the last lines of the access log may take at the end.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Runs a gateway until SIGTERM or SIGINT. What the configuration's reader had to warn of becomes the first log lines.
///
/// # Errors
/// [`StartError`] when it cannot start.
pub fn serve(loaded: Loaded) -> Result<(), StartError> {
    let Loaded { settings, warnings, sources } = loaded;
    let metrics = Arc::new(Metrics::new());
    let (world, level, sinks) = world(&settings.log, &metrics)?;
    follow::warn_of(&warnings);
    let outcome = runtime()?.block_on(async move {
        // Before anything takes time: until somebody listens for it, this signal ends the process.
        let hangup = signal(SignalKind::hangup())?;
        let listeners = Listeners::bind(&settings.listen).await?;
        announce(&settings, &listeners);
        let service = Arc::new(NotifySocket::from_environment(&SystemEnvironment));
        // Before a probe can hear that the start is over.
        follow::tell_in_force(&world, &sources);
        let running = start(settings, listeners, world).await?;
        let mut signals = Signals::listen()?;
        let mut following = JoinSet::new();
        let (readiness, told) = (Arc::clone(running.readiness()), Arc::clone(&service));
        following.spawn(async move {
            readiness.started().await;
            told.tell(ServiceState::Ready).await;
        });
        if let Some(follower) = Follower::new(sources, Arc::clone(&running.reloader), level, Arc::clone(&service)) {
            following.spawn(follower.run(hangup));
        }
        let at_once = signals.next().await;
        following.shutdown().await;
        service.tell(ServiceState::Stopping).await;
        tracing::info!(event = "shutdown.begun", at_once);
        let shutdown = running.shutdown.clone();
        let mut ended = pin!(running.shut_down(at_once));
        tokio::select! {
            () = &mut ended => {}
            // Whoever asks twice has waited long enough for load balancers.
            _ = signals.next() => {
                shutdown.begin_at_once();
                ended.await;
            }
        }
        tracing::info!(event = "shutdown.done");
        Ok::<_, StartError>(())
    });
    sinks.close();
    outcome
}

/// One worker per core that this process may use.
pub(super) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Sets up logging and what else is there once per process.
/// Sets up logging and what else is there once per process. The level of the log stays adjustable, unless logging has
/// been set up before.
pub(super) fn world(
    log: &LogSettings,
    metrics: &Arc<Metrics>,
) -> Result<(World, Option<LevelHandle>, Sinks), StartError> {
    let events = LineQueue::start("log", io::stderr(), metrics.log_dropped.clone())?;
    let audit = match &log.audit {
        AuditSink::Log => None,
        AuditSink::File(path) => {
            let file = AuditFile::open(path, io::stderr())
                .map_err(|source| StartError::Audit { path: path.clone(), source })?;
            Some(LineQueue::start("audit-log", file, metrics.audit_log_dropped.clone())?)
        }
    };
    // A second subscriber in one process is refused, and the first goes on.
    let level = logging::init(log, events.clone(), audit.clone()).ok();
    panics::install_hook(metrics.panics.clone());
    let dropped = metrics.access_log_dropped.clone();
    // Even when it is off: a reload may turn it on.
    let access_log = Arc::new(AccessLog::start(log.format, io::stdout(), dropped)?);
    let world = World {
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(SystemEntropy),
        metrics: Arc::clone(metrics),
        readiness: Arc::default(),
        access_log: Some(Arc::clone(&access_log)),
    };
    Ok((world, level, Sinks { access_log, events, audit }))
}

/// Where lines go, with a queue in front of each.
pub(super) struct Sinks {
    access_log: Arc<AccessLog>,
    events: LineQueue,
    audit: Option<LineQueue>,
}

impl Sinks {
    /// Writes what is still waiting.
    pub(super) fn close(self) {
        let _ = self.access_log.close(LAST_LINES);
        for queue in self.audit.iter().chain([&self.events]) {
            let _ = queue.close(LAST_LINES);
        }
    }
}

fn shown(configured: &ListenAddress, listener: &Listener) -> String {
    match (listener.local_address(), configured) {
        (Some(address), _) => address.to_string(),
        (None, ListenAddress::Unix(path)) => format!("unix:{}", path.display()),
        (None, ListenAddress::Tcp(address)) => address.to_string(),
    }
}

/// The first log lines: where it listens, and what to register at the provider.
fn announce(settings: &Settings, listeners: &Listeners) {
    let admin = settings.listen.admin_address.as_ref().zip(listeners.admin.as_ref());
    let admin = admin.map(|(configured, listener)| shown(configured, listener));
    tracing::info!(
        event = "listening",
        public = %shown(&settings.listen.address, &listeners.public),
        probe = %shown(&settings.listen.probe_address, &listeners.probe),
        admin,
        public_url = settings.public_url.namespace(),
    );
    for route in &settings.routes {
        if let Some(provider) = settings.providers.get(route.provider) {
            tracing::info!(
                event = "register",
                provider = provider.label(),
                redirect_uri = settings.redirect_uri(&route.host, provider),
                post_logout_redirect_uri = settings.post_logout_redirect_uri(&route.host),
                back_channel_logout_uri =
                    provider.issuer.as_ref().map(|_| settings.back_channel_logout_uri(&route.host)),
                front_channel_logout_uri =
                    provider.issuer.as_ref().map(|_| settings.front_channel_logout_uri(&route.host)),
            );
        }
    }
    if let Some(memory) = settings.memory {
        tell_of_memory(settings, memory);
    }
    tell_of_addresses(settings.listen.knows_addresses());
    if !settings.session_keys_configured {
        tracing::info!(
            event = "session.key-made",
            "no session key is configured: one was made for this run; sessions end with the process"
        );
    }
}

/// Says what fits into the memory that there is.
fn tell_of_memory(settings: &Settings, memory: MemoryShare) {
    let sessions = match settings.session.store {
        StoreSettings::Memory { max_sessions } => Some(max_sessions),
        _ => None,
    };
    tracing::info!(
        event = "limits.memory",
        limit_bytes = memory.limit,
        sessions,
        opened_sessions = settings.session.cache,
        connections = settings.listen.limits.connections,
        "the memory of this process is limited: what is not configured is smaller than usual, so that full use stays under \
         70 % of it"
    );
}

/// Says whether the limits per address `apply`. Where nobody's word is believed, every address may be that of the
/// ingress of a whole company.
pub(super) fn tell_of_addresses(apply: bool) {
    let meaning = if apply {
        "limits per address hold for the addresses that connections and trusted proxies tell"
    } else {
        "no address is known to be a browser's: only the limits for everybody apply"
    };
    tracing::info!(event = "limits.per-address", apply, "{meaning}");
}

/// The signals that end the program.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal, and says whether it calls for an end at once: whoever sends SIGTERM has load balancers that
    /// need time to notice, a person at a terminal has not.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => true,
        }
    }
}

/// Waits for Ctrl-C or SIGTERM and ends at once.
pub(super) async fn until_stopped(running: Running) -> io::Result<()> {
    Signals::listen()?.next().await;
    running.shut_down(true).await;
    Ok(())
}
