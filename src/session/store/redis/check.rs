//! What is worth telling whoever runs the gateway about the servers.

use super::failure::{Failure, RedisFailure};
use super::request::Request;
use super::servers::addresses;
use super::{RedisStore, names, scripts};
use crate::session::settings::RedisSettings;

/// What a server may do with keys when its memory is used up.
const WANTED: &str = "noeviction";

/// Says once that sessions travel unencrypted, if they do, and not within this machine.
pub(super) fn warn_of_plain_text(settings: &RedisSettings) {
    if settings.access.tls.is_some() {
        return;
    }
    let is_loopback =
        |host: &str| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if let Some(server) = addresses(&settings.topology).iter().find(|server| !is_loopback(&server.host)) {
        tracing::warn!(
            event = "store.plain-text",
            server = super::failure::spelled(server),
            "the password of the session store and sealed sessions cross the network in plain text: \
             write rediss:// instead of redis://",
        );
    }
}

impl RedisStore {
    /// Whether the servers answer and let us do all that is needed; a few round trips. Warns where one of them would
    /// throw sessions away to make room, as far as it may be asked about that.
    ///
    /// # Errors
    /// The first server that cannot be reached, does not accept us, or denies us something.
    pub async fn check(&self) -> Result<(), RedisFailure> {
        let rights = Request::script(&scripts::RIGHTS, names::trial()).arg(self.names.channel());
        let denied = self
            .ask_for(rights, |answer| redis::from_redis_value::<Vec<String>>(answer).map_err(|_| Failure::Malformed));
        let denied = denied.await?;
        if !denied.is_empty() {
            return Err(self.servers.failed(Failure::Lacks(denied.join(", ").into())));
        }
        if let Some(server) = self.servers.to_listen_at(0).await {
            let listening = self.dialer.subscribe(&server, &self.names.channel()).await;
            drop(listening.map_err(|failure| self.servers.failed(failure))?);
        }
        for node in self.servers.all().await? {
            let request = Request::plain("INFO").arg("memory").repeatable();
            let answer = match node.send(&request, false).await {
                Ok(answer) => answer,
                Err(failure) if failure.is_an_answer() => continue,
                Err(failure) => return Err(self.servers.failed(failure)),
            };
            let text: String = redis::from_redis_value(answer).unwrap_or_default();
            let policy = text.lines().find_map(|line| line.trim_end().strip_prefix("maxmemory_policy:"));
            if let Some(policy) = policy.filter(|policy| *policy != WANTED) {
                let server = node.link().await.map(|link| super::failure::spelled(&link.server)).unwrap_or_default();
                tracing::warn!(
                    event = "store.evicts",
                    server,
                    policy,
                    "the session store may throw away live sessions and what guards against replays: \
                     set maxmemory-policy noeviction",
                );
            }
        }
        Ok(())
    }
}
