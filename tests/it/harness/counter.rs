//! A number that grows and can be waited for.

use tokio::sync::watch;

use super::patiently;

#[derive(Clone, Debug)]
pub struct Counter(watch::Sender<usize>);

impl Default for Counter {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Counter {
    pub fn increase(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub fn value(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until the number is at least `wanted`.
    pub async fn reaches(&self, wanted: usize) {
        let mut seen = self.0.subscribe();
        patiently(&format!("{wanted} (is {})", self.value()), seen.wait_for(|count| *count >= wanted)).await.unwrap();
    }
}
