//! Against real servers, which each test starts for itself.

use super::*;
use crate::secret::StorePassword;
use crate::session::settings::{RedisUser, ServerAddress, StoreTls};
use crate::session::store::conformance::{self, Time, key, sealed, used};
use crate::session::testing::TestClock;
use crate::tls::TlsIdentity;
use redis_server::{ClusterGroup, PORT, PRIMARY, RedisServer, SentinelGroup};

mod conforms;
mod faults;
mod keys;
mod once;
mod takeover;

#[path = "../../../../tests/it/harness/redis_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of the program use what these do not")]
pub(super) mod redis_server;

pub(super) const NAMESPACE: &str = "https://wiki.example.com";

pub(super) fn address(server: &RedisServer) -> ServerAddress {
    ServerAddress { host: server.host.clone(), port: PORT }
}

pub(super) fn single(server: &RedisServer) -> RedisSettings {
    let topology = RedisTopology::Single { server: address(server), database: 0 };
    RedisSettings { topology, access: RedisAccess::default() }
}

pub(super) fn sentinel(group: &SentinelGroup) -> RedisSettings {
    let sentinels = group.sentinels.iter().map(address).collect();
    let topology = RedisTopology::Sentinel { sentinels, master: PRIMARY.to_owned() };
    RedisSettings { topology, access: RedisAccess::default() }
}

pub(super) fn cluster(group: &ClusterGroup) -> RedisSettings {
    let topology = RedisTopology::Cluster { seeds: group.servers.iter().take(2).map(address).collect() };
    RedisSettings { topology, access: RedisAccess::default() }
}

/// The line of the documentation that makes the user, with a password.
pub(super) fn documented_user(password: &str) -> Vec<String> {
    let page = include_str!("../../../../docs/operations.md");
    let line = page.lines().find(|line| line.starts_with("ACL SETUSER")).expect("the line in docs/operations.md");
    line.split_whitespace().map(|word| word.replace("PASSWORD", password)).collect()
}

/// A store, with a clock whose time passes for the servers as well.
pub(super) struct Stage<'a> {
    pub(super) store: Arc<RedisStore>,
    pub(super) clock: Arc<TestClock>,
    age: Box<dyn Fn(u64) + Sync + 'a>,
}

impl<'a> Stage<'a> {
    pub(super) async fn new(settings: RedisSettings, age: impl Fn(u64) + Sync + 'a) -> Self {
        let clock = Arc::new(TestClock::at(1_800_000_000));
        let store = RedisStore::new(settings, NAMESPACE, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let stage = Self { store, clock, age: Box::new(age) };
        stage.hears().await;
        stage
    }

    pub(super) async fn hears(&self) {
        let mut state = self.store.state();
        let hears = state.wait_for(|state| state.deaf_since.is_none());
        tokio::time::timeout(Duration::from_secs(10), hears).await.expect("it hears in time").unwrap();
    }
}

impl Time for Stage<'_> {
    fn clock(&self) -> &TestClock {
        &self.clock
    }

    fn pass(&self, seconds: u64) {
        self.clock.pass(seconds);
        (self.age)(seconds);
    }
}
