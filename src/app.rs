//! The composition root: settings become listeners, stores, providers and a gateway that run until shutdown.
//!
//! Listeners are bound first and handed in, so that tests use port 0 through the same path as everybody else.

mod administration;
mod assembly;
mod core_dumps;
mod demonstration;
mod follow;
mod notify_socket;
mod observers;
mod online;
mod reload;
mod restart;
mod service;
mod signing;
mod stores;
mod watch;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::FutureExt as _;
use tokio::task::JoinSet;

use crate::admin::probe::Probe;
use crate::admin::readiness::Readiness;
use crate::clock::Clock;
use crate::entropy::{self, Entropy, NoEntropy};
use crate::gateway::Gateway;
use crate::gateway::settings::Settings;
use crate::provider::ProviderError;
use crate::server::settings::{ListenSettings, SharedLimits};
use crate::server::{self, Entrance, ListenError, Listener, SharedEntrance, Shutdown};
use crate::session::SessionError;
use crate::session::Sessions;
use crate::session::store::SessionStore;
use crate::session::store::file::FileStoreError;
use crate::session::store::redis::RedisStoreError;
use crate::signing_key::SigningFailed;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::request_id::RequestIds;
use crate::upstream::{InvalidUpstream, Via};

pub use core_dumps::forbid_core_dumps;
pub use demonstration::{DemoError, demo};
pub use notify_socket::{NotifySocket, ServiceState};
pub use online::{OnlineResult, check_online};
pub use reload::{ReloadError, Reloaded};
pub use service::serve;

use assembly::{Assembly, Lasting};
use observers::Connections;
use reload::Reloader;
use stores::OpenStore;

/// How long refreshes that are under way may take at the end.
const LAST_SAVES: Duration = Duration::from_secs(5);
/// How long revocations that are under way may take at the end.
const LAST_CALLS: Duration = Duration::from_secs(3);
/// How often expired records are swept out of the store.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// Why the program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener.
    #[error("listen.{key}: {source}")]
    Bind {
        /// The key of the configuration that names the address.
        key: &'static str,
        /// Why it cannot be listened on.
        source: ListenError,
    },
    /// The session room.
    #[error("sessions: {0}")]
    Session(#[from] SessionError),
    /// The store in a file.
    #[error("session.store: {0}")]
    FileStore(#[from] FileStoreError),
    /// The client of Redis.
    #[error("session.store: {0}")]
    RedisStore(#[from] RedisStoreError),
    /// A provider's client.
    #[error("provider: {0}")]
    Provider(#[from] ProviderError),
    /// An upstream's client.
    #[error("upstream: {0}")]
    Upstream(#[from] InvalidUpstream),
    /// TLS on the public listener.
    #[error("listen.tls: {0}")]
    Tls(#[source] rustls::Error),
    /// A key to sign with.
    #[error("session.keys: {0}")]
    Signing(#[from] SigningFailed),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The file of the audit log.
    #[error("log.audit: {} cannot be appended to: {source}", path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something of the operating system: a thread, a signal, the runtime.
    #[error("the operating system refused: {0}")]
    System(#[from] io::Error),
}

/// The listeners of a gateway, bound before anything else.
#[derive(Debug)]
pub struct Listeners {
    /// For browsers or the ingress.
    pub public: Listener,
    /// For probes and metrics.
    pub probe: Listener,
    /// For the administration of sessions, if there is to be any.
    pub admin: Option<Listener>,
}

impl Listeners {
    /// Binds the addresses of the configuration.
    ///
    /// # Errors
    /// [`StartError::Bind`] names the key and the address.
    pub async fn bind(settings: &ListenSettings) -> Result<Self, StartError> {
        let failed = |key| move |source| StartError::Bind { key, source };
        Ok(Self {
            public: if settings.reuse_port {
                Listener::bind_shared(&settings.address).await
            } else {
                Listener::bind(&settings.address).await
            }
            .map_err(failed("address"))?,
            probe: Listener::bind(&settings.probe_address).await.map_err(failed("probe_address"))?,
            admin: match &settings.admin_address {
                Some(address) => Some(Listener::bind_private(address).await.map_err(failed("admin_address"))?),
                None => None,
            },
        })
    }
}

/// What the program takes from the outside world.
#[derive(Clone)]
pub struct World {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What probes are told.
    pub readiness: Arc<Readiness>,
    /// Where access lines go, unless they are off.
    pub access_log: Option<Arc<AccessLog>>,
}

impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("World").finish_non_exhaustive()
    }
}

/// A gateway that runs; dropping it stops everything at once.
pub struct Running {
    sessions: Arc<Sessions>,
    readiness: Arc<Readiness>,
    reloader: Arc<Reloader>,
    shutdown: Shutdown,
    public: JoinSet<()>,
    background: JoinSet<()>,
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Running").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

impl Running {
    /// The sessions of this gateway.
    #[must_use]
    pub const fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Whether the start is over.
    #[must_use]
    pub const fn readiness(&self) -> &Arc<Readiness> {
        &self.readiness
    }

    /// Puts another configuration in the place of the one in force. Whatever fails, the one in force stays.
    ///
    /// # Errors
    /// [`ReloadError`].
    pub async fn reload(&self, settings: Settings) -> Result<Reloaded, ReloadError> {
        self.reloader.reload(settings).await
    }

    /// Unready first, then the drain delay for load balancers to notice (none `at_once`), then no new connections;
    /// returns when the last request has ended or the deadline has passed.
    pub async fn shut_down(mut self, at_once: bool) {
        self.readiness.set_draining();
        if at_once {
            self.shutdown.begin_at_once();
        } else {
            self.shutdown.begin();
        }
        while self.public.join_next().await.is_some() {}
        self.reloader.current().load_full().settle(LAST_SAVES, LAST_CALLS).await;
        self.background.shutdown().await;
    }
}

/// Starts a gateway on listeners that are bound.
///
/// # Errors
/// [`StartError`] for what the settings ask and this machine cannot give.
pub async fn start(settings: Settings, listeners: Listeners, world: World) -> Result<Running, StartError> {
    let store = OpenStore::open(&settings.session.store, &settings.public_url.namespace(), &world)?;
    start_with(settings, listeners, world, store).await
}

/// Starts a gateway that keeps its sessions in `store`.
///
/// # Errors
/// As of [`start`].
pub async fn start_with_store(
    settings: Settings,
    listeners: Listeners,
    world: World,
    store: Arc<dyn SessionStore>,
) -> Result<Running, StartError> {
    start_with(settings, listeners, world, store.into()).await
}

async fn start_with(
    mut settings: Settings,
    listeners: Listeners,
    world: World,
    store: OpenStore,
) -> Result<Running, StartError> {
    let (limits, grace) = (SharedLimits::new(settings.listen.limits), settings.listen.startup_grace);
    let entrance = SharedEntrance::new(Entrance::of(&settings.listen).map_err(StartError::Tls)?);
    let metrics = Arc::clone(&world.metrics);
    let readiness = Arc::clone(&world.readiness);
    let shutdown = Shutdown::default();
    let mut background = JoinSet::new();

    background.spawn(stores::follow(
        Arc::clone(&store.store),
        readiness.condition("store"),
        metrics.store_up.clone(),
        metrics.store_deaf.clone(),
    ));
    if let Some(redis) = store.redis() {
        background.spawn(OpenStore::look_over(redis));
    }
    let clients = assembly::clients(&settings);
    let sessions = Sessions::new(
        &mut settings.session,
        settings.public_url.namespace(),
        clients,
        Arc::clone(&world.clock),
        Arc::clone(&world.entropy),
        Arc::clone(&store.store),
    )?;
    if !settings.session_keys_configured {
        sessions.keep_own_key();
    }
    background.spawn(Arc::clone(&sessions).run());

    let lasting = Lasting {
        limits: limits.clone(),
        entrance: entrance.clone(),
        sessions: Arc::clone(&sessions),
        store,
        request_ids: Arc::new(RequestIds::new(entropy::draw(world.entropy.as_ref())?)),
        via: Via::draw(world.entropy.as_ref())?,
        admin_token: Arc::new(ArcSwapOption::new(settings.listen.admin_token.clone())),
        world,
    };
    let assembly = Assembly::build(&lasting, settings, sessions.rules(), None)?;
    let known = assembly.providers.clone();
    let reloader = Arc::new(Reloader::new(lasting, assembly));
    background.spawn(sweep(reloader.current(), Arc::clone(&sessions), Arc::clone(&metrics)));
    let current = reloader.current();
    let service = tower::service_fn(move |request| {
        let gateway = current.load_full();
        async move {
            // A defect on the way of one request is that request's alone.
            let answered = AssertUnwindSafe(gateway.respond(request)).catch_unwind().await;
            Ok::<_, Infallible>(answered.unwrap_or_else(|_| gateway.answer_panicked()))
        }
    });
    let connections = Arc::new(Connections::new(&metrics));
    let mut public = JoinSet::new();
    public.spawn(server::serve(
        listeners.public,
        entrance,
        service,
        limits.clone(),
        Arc::clone(&connections) as Arc<_>,
        shutdown.clone(),
    ));
    let probe = Probe::new(Arc::clone(&readiness), metrics);
    if let Some(admin) = listeners.admin {
        let service = administration::administration(&admin, reloader.lasting(), reloader.current());
        let (limits, connections) = (limits.clone(), Arc::clone(&connections) as Arc<_>);
        background.spawn(server::serve(
            admin,
            SharedEntrance::default(),
            service,
            limits,
            connections,
            Shutdown::default(),
        ));
    }
    background.spawn(server::serve(
        listeners.probe,
        SharedEntrance::default(),
        probe,
        limits,
        connections,
        Shutdown::default(),
    ));

    let ready = Arc::clone(&readiness);
    background.spawn(async move {
        let all = async {
            for running in &known {
                running.known.provider.ready().await;
            }
        };
        // A provider that is away does not keep the public paths and the live sessions down for ever.
        let _ = tokio::time::timeout(grace, all).await;
        ready.set_ready();
        std::future::pending::<()>().await;
    });
    Ok(Running { sessions, readiness, reloader, shutdown, public, background })
}

async fn sweep(current: Arc<ArcSwap<Gateway>>, sessions: Arc<Sessions>, metrics: Arc<Metrics>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        sessions.sweep().await;
        current.load_full().tell_of_passed();
        metrics.sessions_live.set(i64::try_from(sessions.live_sessions()).unwrap_or(i64::MAX));
    }
}
