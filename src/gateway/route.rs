//! Host and canonical path to one of our own endpoints, or to an upstream.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use http::{HeaderName, Method};

use super::canonical_path::{CanonicalPath, PathPolicy, as_compared};
use super::denial::OverageNotice;
use super::ingress::Ingress;
use super::rule::{Requirements, RuleTable};
use super::settings::RouteSettings;
use crate::origin::Host;
use crate::provider::Provider;
use crate::session::OpenedSession;
use crate::telemetry::metrics::{ProviderMetrics, UpstreamMetrics};
use crate::upstream::Upstream;
use crate::upstream::presets::identity_header_names;

/// Where proxies ask for a decision, under the endpoint prefix.
pub(super) const FORWARD_AUTH: &str = "/auth";

/// A provider with what is counted for it.
#[derive(Debug)]
pub struct KnownProvider {
    /// The provider itself.
    pub provider: Arc<Provider>,
    /// Its counters.
    pub metrics: ProviderMetrics,
}

impl KnownProvider {
    /// The operator's name for it.
    pub(super) fn label(&self) -> &str {
        self.provider.settings().label()
    }
}

/// An upstream with what is decided about it.
#[derive(Debug)]
pub struct Route {
    pub(super) settings: RouteSettings,
    pub(super) upstream: Arc<Upstream>,
    pub(super) known: Arc<KnownProvider>,
    pub(super) metrics: UpstreamMetrics,
    /// A header holds the groups.
    pub(super) needs_groups: bool,
    pub(super) overage: OverageNotice,
    rules: RuleTable,
}

impl Route {
    /// Puts a route together.
    #[must_use]
    pub fn new(
        settings: RouteSettings,
        upstream: Arc<Upstream>,
        known: Arc<KnownProvider>,
        metrics: UpstreamMetrics,
    ) -> Self {
        let mapping = &known.provider.settings().claims;
        let needs_groups = settings.upstream.uses_claim(|name| mapping.is_groups(name));
        let (rules, overage) = (RuleTable::new(&settings), OverageNotice::default());
        Self { settings, upstream, known, metrics, needs_groups, overage, rules }
    }

    /// The scopes that it needs and the login of a session was not granted.
    pub(super) fn missing_scopes<'a>(&'a self, session: &OpenedSession) -> Vec<&'a str> {
        let granted = session.login_grant().map(|grant| grant.tokens.scopes.as_slice()).unwrap_or_default();
        self.settings.scopes.iter().filter(|needed| !granted.contains(needed)).map(String::as_str).collect()
    }

    /// What a request must meet; worked out once for each.
    pub(super) fn requirements(&self, method: &Method, path: &CanonicalPath) -> Requirements<'_> {
        self.rules.requirements(&self.settings, method, path)
    }
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) enum Routed {
    /// One of our own endpoints: the rest of the path after the prefix, such as `/callback`.
    Endpoint(String),
    /// An application.
    Upstream(Arc<Route>),
    /// Nothing of ours.
    Nowhere,
}

#[derive(Debug, Default)]
struct Site {
    routes: HashMap<String, Arc<Route>>,
    known: Option<Arc<KnownProvider>>,
    policy: PathPolicy,
}

/// All hosts with their routes.
///
/// A look-up walks the segment borders of the path from the longest prefix to the shortest, so that its cost depends on
/// the depth of the path and not on the number of upstreams.
#[derive(Debug, Default)]
pub struct RouteTable {
    sites: HashMap<Host, Site>,
    endpoints: String,
    /// Every header by which some upstream is told who somebody is.
    told: Vec<HeaderName>,
}

impl RouteTable {
    /// A table for the endpoints under the full path prefix `endpoints`, such as `/oauth2`.
    #[must_use]
    pub fn new(endpoints: String) -> Self {
        Self { sites: HashMap::new(), endpoints, told: identity_header_names() }
    }

    /// Adds a route; the configuration has made sure that host and path are taken once.
    pub fn add(&mut self, route: Route) {
        for (name, _) in &route.settings.upstream.headers {
            if !self.told.contains(name) {
                self.told.push(name.clone());
            }
        }
        let site = self.sites.entry(route.settings.host.clone()).or_default();
        site.known.get_or_insert_with(|| Arc::clone(&route.known));
        // A permissive upstream has its host to itself.
        site.policy = route.settings.path_policy;
        site.routes.insert(prefix_of(&route.settings).into_owned(), Arc::new(route));
    }

    /// The host that is written just so, if it is ours.
    pub(super) fn host(&self, canonical: &str) -> Option<&Host> {
        self.sites.get_key_value(canonical).map(|(host, _)| host)
    }

    /// The path policy of a host; `None` when the host is not ours.
    pub(super) fn path_policy(&self, host: &Host) -> Option<PathPolicy> {
        self.sites.get(host).map(|site| site.policy)
    }

    /// The one provider of a host.
    pub(super) fn provider(&self, host: &Host) -> Option<&Arc<KnownProvider>> {
        self.sites.get(host)?.known.as_ref()
    }

    /// The provider of every host.
    pub(super) fn providers(&self) -> HashMap<Host, Arc<KnownProvider>> {
        let known = self.sites.iter().filter_map(|(host, site)| Some((host.clone(), Arc::clone(site.known.as_ref()?))));
        known.collect()
    }

    /// Whether an upstream of this host gets the access token.
    pub(super) fn uses_access_token(&self, host: &Host) -> bool {
        let site = self.sites.get(host);
        site.is_some_and(|site| site.routes.values().any(|route| route.upstream.needs_access_token()))
    }

    /// The scopes that upstreams of this host need.
    pub(super) fn scopes(&self, host: &Host) -> BTreeSet<&str> {
        let routes = self.sites.get(host).into_iter().flat_map(|site| site.routes.values());
        routes.flat_map(|route| &route.settings.scopes).map(String::as_str).collect()
    }

    /// Every header by which some upstream is told who somebody is.
    pub(super) fn told(&self) -> &[HeaderName] {
        &self.told
    }

    /// The full path prefix of our own endpoints.
    pub(super) fn endpoints(&self) -> &str {
        &self.endpoints
    }

    /// Whether the path of a request target, as it came, is where proxies ask for a decision.
    pub(super) fn is_forward_auth(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.endpoints.as_str()).and_then(|rest| rest.strip_prefix(FORWARD_AUTH));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Finds where a request goes.
    pub(super) fn route(&self, ingress: &Ingress) -> Routed {
        if ingress.path.is_under(&self.endpoints) {
            let rest = ingress.path.as_str().strip_prefix(&self.endpoints).unwrap_or_default();
            return Routed::Endpoint(rest.to_owned());
        }
        match self.upstream(&ingress.host, &ingress.path) {
            Some(route) => Routed::Upstream(Arc::clone(route)),
            None => Routed::Nowhere,
        }
    }

    /// The upstream at a path; the caller has made sure that it is none of our own endpoints.
    pub(super) fn upstream(&self, host: &Host, path: &CanonicalPath) -> Option<&Arc<Route>> {
        let site = self.sites.get(host)?;
        longest(path, |prefix| site.routes.get(prefix))
    }
}

/// The path of a route as routes are looked up: without a final slash, so that `/` is empty.
pub(super) fn prefix_of(settings: &RouteSettings) -> Cow<'_, str> {
    as_compared(settings.path.trim_end_matches('/'))
}

/// What is found for the longest prefix of `path` that ends at a border of segments.
pub(super) fn longest<T>(path: &CanonicalPath, found: impl Fn(&str) -> Option<T>) -> Option<T> {
    let compared = as_compared(path.as_str());
    let mut prefix = &*compared;
    loop {
        if let Some(found) = found(prefix) {
            return Some(found);
        }
        prefix = prefix.rsplit_once('/')?.0;
    }
}
