//! A configuration becomes running parts: those of an earlier one go on where nothing about them has changed.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::task::JoinSet;

use super::observers::ProviderCounters;
use super::restart::Fixed;
use super::stores::OpenStore;
use super::{StartError, World, signing};
use crate::gateway::route::{KnownProvider, Route, RouteTable};
use crate::gateway::settings::{RouteSettings, Settings};
use crate::gateway::{Gateway, GatewayParts};
use crate::origin::{Host, PublicUrl};
use crate::provider::settings::ProviderSettings;
use crate::provider::{Provider, ProviderParts};
use crate::secret::AdminToken;
use crate::server::settings::{Limits, SharedLimits};
use crate::server::{Entrance, SharedEntrance};
use crate::session::key_ring::KeyRing;
use crate::session::{RegisteredClient, SessionRules, Sessions};
use crate::telemetry::labels::Limit;
use crate::telemetry::request_id::RequestIds;
use crate::upstream::{Gauges, IdentityAssertion, ManagedSet, Upstream, Via};

/// What there is once in a process, whatever its configuration.
pub(super) struct Lasting {
    pub(super) world: World,
    pub(super) limits: SharedLimits,
    /// How connections come in at the public listener.
    pub(super) entrance: SharedEntrance,
    pub(super) sessions: Arc<Sessions>,
    pub(super) store: OpenStore,
    pub(super) request_ids: Arc<RequestIds>,
    pub(super) via: Via,
    /// What opens the admin listener.
    pub(super) admin_token: Arc<ArcSwapOption<AdminToken>>,
}

/// A provider and the task that keeps its metadata up to date, which ends with the last configuration that names it.
pub(super) struct RunningProvider {
    pub(super) known: Arc<KnownProvider>,
    _task: JoinSet<()>,
}

/// One configuration, running.
pub(super) struct Assembly {
    pub(super) gateway: Arc<Gateway>,
    pub(super) rules: Arc<SessionRules>,
    pub(super) providers: Vec<Arc<RunningProvider>>,
    pub(super) fixed: Fixed,
    pub(super) limits: Limits,
    pub(super) entrance: Entrance,
    pub(super) admin_token: Option<Arc<AdminToken>>,
    /// The addresses of user agents are known, at least of those that come through a trusted proxy.
    pub(super) knows_addresses: bool,
    upstreams: Vec<Arc<Upstream>>,
}

impl Assembly {
    /// Builds what `settings` ask for beside what is running; nothing is in force yet.
    pub(super) fn build(
        lasting: &Lasting,
        mut settings: Settings,
        rules: Arc<SessionRules>,
        before: Option<&Self>,
    ) -> Result<Self, StartError> {
        let (fixed, limits) = (Fixed::of(&settings), settings.listen.limits);
        let admin_token = settings.listen.admin_token.take();
        let entrance = Entrance::of(&settings.listen).map_err(StartError::Tls)?;
        let (endpoints, knows_addresses) = (settings.endpoints(), settings.listen.knows_addresses());
        let mut providers = Vec::new();
        for provider in settings.providers.drain(..) {
            providers.push(lasting.provider(provider, before)?);
        }
        let metrics = &lasting.world.metrics;
        let names = settings.routes.iter().flat_map(|route| route.upstream.headers.iter().map(|(name, _)| name));
        let managed = Arc::new(ManagedSet::new(names).counted_by(metrics.headers_stripped.clone()));
        // Of this configuration's ring: what the keys of an earlier one have signed verifies while they are in it.
        let ring = rules.key_ring();
        let jwk_set = signing::published(ring, &settings.routes)?;
        let (mut table, mut upstreams) = (RouteTable::new(endpoints), Vec::new());
        for route in settings.routes {
            // The configuration gives every route a provider that is there.
            let Some(running) = providers.get(route.provider) else { continue };
            let assertion = lasting.assertion(ring, &route, &settings.public_url)?;
            let upstream = lasting.upstream(&route, &managed, assertion, before)?;
            upstreams.push(Arc::clone(&upstream));
            let counted = metrics.upstream(&route.upstream.name);
            table.add(Route::new(route, upstream, Arc::clone(&running.known), counted));
        }
        let parts = GatewayParts {
            public_url: settings.public_url,
            limits,
            trusted_proxies: settings.listen.trusted_proxies,
            cookie: settings.cookie,
            log_user: settings.log.user,
            routes: table,
            sessions: Arc::clone(&lasting.sessions),
            session_rules: Arc::clone(&rules),
            jwk_set,
            pages: settings.pages,
            metrics: Arc::clone(metrics),
            access_log: lasting.world.access_log.clone().filter(|_| settings.log.access),
            request_ids: Arc::clone(&lasting.request_ids),
            clock: Arc::clone(&lasting.world.clock),
            entropy: Arc::clone(&lasting.world.entropy),
        };
        let gateway = match before {
            Some(before) => before.gateway.succeeded_by(parts),
            None => Gateway::new(parts),
        };
        Ok(Self { gateway, rules, providers, fixed, limits, entrance, admin_token, knows_addresses, upstreams })
    }

    /// The labels of its providers.
    pub(super) fn labels(&self) -> Vec<String> {
        self.providers.iter().map(|running| running.label().to_owned()).collect()
    }

    fn provider(&self, label: &str) -> Option<&Arc<RunningProvider>> {
        self.providers.iter().find(|running| running.label() == label)
    }
}

impl RunningProvider {
    fn label(&self) -> &str {
        self.known.provider.settings().label()
    }
}

impl Lasting {
    fn provider(
        &self,
        settings: ProviderSettings,
        before: Option<&Assembly>,
    ) -> Result<Arc<RunningProvider>, StartError> {
        let before = before.and_then(|before| before.provider(settings.label()));
        if let Some(same) = before.filter(|before| *before.known.provider.settings() == settings) {
            return Ok(Arc::clone(same));
        }
        let counted = self.world.metrics.provider(settings.label());
        let too_many = self.world.metrics.limit(Limit::ProviderCalls);
        let parts = ProviderParts {
            clock: Arc::clone(&self.world.clock),
            entropy: Arc::clone(&self.world.entropy),
            observer: Arc::new(ProviderCounters::new(&counted, too_many, &self.world.readiness, settings.label())),
        };
        let provider = match before {
            Some(before) => Provider::succeeding(&before.known.provider, settings, parts)?,
            None => Provider::new(settings, parts)?,
        };
        let mut task = JoinSet::new();
        task.spawn(Arc::clone(&provider).run());
        Ok(Arc::new(RunningProvider { known: Arc::new(KnownProvider { provider, metrics: counted }), _task: task }))
    }

    fn assertion(
        &self,
        ring: &KeyRing,
        route: &RouteSettings,
        public_url: &PublicUrl,
    ) -> Result<Option<IdentityAssertion>, StartError> {
        Ok(signing::assertion(ring, route, public_url, &self.world.clock, &self.world.entropy)?)
    }

    fn upstream(
        &self,
        route: &RouteSettings,
        managed: &Arc<ManagedSet>,
        assertion: Option<IdentityAssertion>,
        before: Option<&Assembly>,
    ) -> Result<Arc<Upstream>, StartError> {
        let (settings, metrics) = (&route.upstream, &self.world.metrics);
        let gauges =
            Gauges { tunnels: metrics.tunnels.clone(), targets_out: metrics.upstream_targets_out(&settings.name) };
        let (managed, via) = (Arc::clone(managed), self.via.clone());
        let same_name = |before: &&Arc<Upstream>| before.name() == settings.name;
        let before = before.and_then(|before| before.upstreams.iter().find(same_name)).map(Arc::as_ref);
        Ok(Upstream::new(settings, managed, via, gauges, assertion, before)?)
    }
}

/// With whom the sessions of each host are begun.
pub(super) fn clients(settings: &Settings) -> HashMap<Host, RegisteredClient> {
    let clients = settings.routes.iter().filter_map(|route| {
        let provider = settings.providers.get(route.provider)?;
        let (issuer, client_id) = (provider.issuer_name().to_owned(), provider.client_id.clone());
        Some((route.host.clone(), RegisteredClient { issuer, client_id }))
    });
    clients.collect()
}
