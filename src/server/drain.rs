//! Shutting down without losing a request.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Says that the process is to end; clones are one and the same.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<Phase>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    /// Connections are still accepted for a while, so that load balancers notice first.
    Begun,
    AtOnce,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Running)))
    }
}

impl Shutdown {
    /// Begins the shutdown: listeners close after the drain delay.
    pub fn begin(&self) {
        self.advance(Phase::Begun);
    }

    /// Begins the shutdown without the delay, or ends the delay.
    pub fn begin_at_once(&self) {
        self.advance(Phase::AtOnce);
    }

    /// Whether the shutdown has begun: the process is not ready any more.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() >= Phase::Begun
    }

    /// Waits until the shutdown has begun.
    pub async fn wait(&self) {
        self.reach(Phase::Begun).await;
    }

    /// Waits until listeners are to close.
    pub(super) async fn wait_for_close(&self, delay: Duration) {
        self.wait().await;
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.reach(Phase::AtOnce) => {}
        }
    }

    fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let forward = *phase < to;
            *phase = to.max(*phase);
            forward
        });
    }

    async fn reach(&self, phase: Phase) {
        // The sender is held here, so the wait cannot fail.
        let mut phases = self.0.subscribe();
        let _phase = phases.wait_for(|now| *now >= phase).await;
    }
}

/// What a listener tells its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Drain {
    /// Go on.
    Open,
    /// Finish the request in flight and close.
    Closing,
    /// Close.
    Over,
}

/// Waits until a listener has told its connections at least `drain`.
pub(super) async fn told(receiver: &mut watch::Receiver<Drain>, drain: Drain) {
    // Without its listener a connection has nobody to wait for it.
    let _drain = receiver.wait_for(|now| *now >= drain).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn listeners_close_after_the_delay() {
        let shutdown = Shutdown::default();
        assert!(!shutdown.has_begun());
        shutdown.clone().begin();
        shutdown.wait().await;
        assert!(shutdown.has_begun());
        let started = tokio::time::sleep(Duration::ZERO).deadline();
        shutdown.wait_for_close(Duration::from_secs(5)).await;
        assert!(tokio::time::sleep(Duration::ZERO).deadline() - started >= Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_second_word_ends_the_delay() {
        let shutdown = Shutdown::default();
        shutdown.begin();
        let closing = shutdown.wait_for_close(Duration::from_secs(3600));
        shutdown.begin_at_once();
        shutdown.begin();
        closing.await;
    }
}
