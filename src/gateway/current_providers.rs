//! The provider of each host as the configuration in force has it: for what outlives the gateway it began under.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::route::KnownProvider;
use crate::origin::Host;

/// Shared by every gateway of the process; each replaces it when it comes into force.
#[derive(Debug, Default)]
pub(super) struct CurrentProviders(ArcSwap<HashMap<Host, Arc<KnownProvider>>>);

impl CurrentProviders {
    pub(super) fn replace(&self, by_host: HashMap<Host, Arc<KnownProvider>>) {
        self.0.store(Arc::new(by_host));
    }

    /// The provider of a host; `None` when the host is no longer ours.
    pub(super) fn find(&self, host: &Host) -> Option<Arc<KnownProvider>> {
        self.0.load().get(host).map(Arc::clone)
    }
}
