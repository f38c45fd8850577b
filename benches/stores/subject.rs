//! One store under measurement, with whatever stands behind it.

use std::sync::Arc;

use vestibule::session::settings::{RedisAccess, RedisSettings, RedisTopology, ServerAddress};
use vestibule::session::store::SessionStore;
use vestibule::session::store::file::FileStore;
use vestibule::session::store::redis::RedisStore;

use crate::fixture;
use crate::measure::cpu_nanoseconds;
use crate::redis_server::{PORT, RedisServer};

pub struct Subject {
    pub name: &'static str,
    pub store: Arc<dyn SessionStore>,
    pub server: Option<RedisServer>,
    pub directory: Option<tempfile::TempDir>,
}

impl Subject {
    pub async fn start(name: &'static str) -> Self {
        let clock = fixture::system_clock();
        let (mut server, mut directory) = (None, None);
        let store: Arc<dyn SessionStore> = match name {
            "memory" => fixture::store(&clock),
            "file" => {
                let made = directory.insert(tempfile::tempdir().unwrap());
                Arc::new(FileStore::open(&made.path().join("store"), clock).unwrap())
            }
            _ => {
                let started = server.insert(RedisServer::start());
                let (host, port) = (started.host.clone(), PORT);
                let topology = RedisTopology::Single { server: ServerAddress { host, port }, database: 0 };
                let settings = RedisSettings { topology, access: RedisAccess::default() };
                let store = RedisStore::new(settings, "https://wiki.example.com", clock).unwrap();
                while store.load(crate::operations::key(0)).await.is_err() {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                store
            }
        };
        Self { name, store, server, directory }
    }
}

/// CPU time used so far, in nanoseconds: by this process, and by the store's own.
pub struct Cpu {
    ours: u64,
    server: u64,
}

impl Cpu {
    pub fn of(subject: &Subject) -> Self {
        let server = subject.server.as_ref().map_or(0, |server| cpu_nanoseconds(server.id()));
        Self { ours: cpu_nanoseconds(std::process::id()), server }
    }

    /// Since then, in microseconds.
    pub fn since(&self, before: &Self) -> (f64, f64) {
        ((self.ours - before.ours) as f64 / 1e3, (self.server - before.server) as f64 / 1e3)
    }
}
