//! How many requests a target gets at once, and how many wait for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::upstream::settings::TargetLimits;

/// A bounded number of places, and a bounded queue before them.
#[derive(Debug)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
    patience: Duration,
}

/// One of the places; given back when it is dropped.
pub(super) type Place = OwnedSemaphorePermit;

/// All places are taken, and the queue is full or moves too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Room {
    /// `None` when there is room for everybody.
    pub(super) fn new(limits: &TargetLimits) -> Option<Self> {
        let places = Arc::new(Semaphore::new(limits.requests?));
        Some(Self { places, waiting: AtomicUsize::new(0), queue: limits.queue, patience: limits.queue_timeout })
    }

    /// Whether somebody who comes now has to wait.
    pub(super) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    /// Takes a place, after waiting for one if need be; whoever has waited longest comes first.
    ///
    /// # Errors
    /// [`Full`].
    pub(super) async fn enter(&self) -> Result<Place, Full> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = Waiting::join(&self.waiting, self.queue).ok_or(Full)?;
        let place = tokio::time::timeout(self.patience, Arc::clone(&self.places).acquire_owned()).await;
        place.map_err(|_| Full)?.map_err(|_| Full)
    }
}

/// A place in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let one_more = |waiting| (waiting < most).then_some(waiting + 1);
        waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn room(requests: usize, queue: usize) -> Room {
        let queue_timeout = Duration::from_secs(5);
        Room::new(&TargetLimits { requests: Some(requests), queue, queue_timeout }).unwrap()
    }

    #[tokio::test]
    async fn the_queue_is_served_in_its_order_and_is_bounded() {
        let room = room(1, 2);
        let first = room.enter().await.unwrap();
        assert!(room.is_full());
        let (mut second, mut third) = (Box::pin(room.enter()), Box::pin(room.enter()));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        assert_eq!(room.enter().await.unwrap_err(), Full);
        drop(first);
        let second = second.await.unwrap();
        assert!(third.as_mut().now_or_never().is_none());
        // Who gives up makes room in the queue.
        drop(third);
        let (_third, _fourth) = (Box::pin(room.enter()), Box::pin(room.enter()));
        drop(second);
        assert!(!room.is_full());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let room = room(1, 1);
        let _taken = room.enter().await.unwrap();
        assert_eq!(room.enter().await.unwrap_err(), Full);
    }

    #[test]
    fn without_a_number_there_is_room_for_everybody() {
        assert!(Room::new(&TargetLimits::default()).is_none());
    }
}
