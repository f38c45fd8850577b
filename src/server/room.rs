//! How many connections a listener has room for, and which one makes room when there is none left.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::occupancy::Occupancy;

/// Idle connections that one newcomer may displace: more than one, so that a lowered limit is reached by and by.
const DISPLACED_AT_ONCE: usize = 8;
/// Displaced connections that have not closed yet: so many may be open beyond the limit.
const MOST_LEAVING: usize = 64;
/// Seats that are looked at for one idle connection, so that a full house costs no more than this.
const LOOKED_AT: usize = 256;

/// The connections of one listener.
#[derive(Debug, Default)]
pub(super) struct Room {
    seats: Mutex<Seats>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Seats {
    all: Vec<Option<Seat>>,
    free: Vec<usize>,
    open: usize,
    /// How many of them have been told to leave.
    leaving: usize,
    /// Where the search for an idle connection goes on.
    hand: usize,
}

#[derive(Debug)]
struct Seat {
    occupancy: Arc<Occupancy>,
    leaving: bool,
    /// Its answers when the search came by: if there has been none since, it has been idle for the longest.
    answered: Option<u32>,
}

/// A connection's place; held until the socket is closed, as a tunnel too.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    seat: usize,
}

impl Room {
    /// A place among at most `most` connections. When all are taken, idle connections are told to leave; `None` when
    /// nobody is idle.
    pub(super) fn enter(self: &Arc<Self>, most: usize, occupancy: &Arc<Occupancy>) -> Option<Place> {
        let mut seats = self.seats();
        for _ in 0..DISPLACED_AT_ONCE {
            if seats.staying() < most || seats.leaving >= MOST_LEAVING || !seats.displace() {
                break;
            }
        }
        if seats.staying() >= most {
            return None;
        }
        let seat = seats.take(Seat { occupancy: Arc::clone(occupancy), leaving: false, answered: None });
        Some(Place { room: Arc::clone(self), seat })
    }

    /// Waits until nobody is left.
    pub(super) async fn emptied(&self) {
        while self.seats().open > 0 {
            self.left.notified().await;
        }
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        // Plain numbers and places; a panic elsewhere leaves none of them half written.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    const fn staying(&self) -> usize {
        self.open.saturating_sub(self.leaving)
    }

    fn take(&mut self, seat: Seat) -> usize {
        self.open += 1;
        let taken = self.free.pop().unwrap_or(self.all.len());
        match self.all.get_mut(taken) {
            Some(free) => *free = Some(seat),
            None => self.all.push(Some(seat)),
        }
        taken
    }

    /// Tells one idle connection to leave: the first that has not been used since the search last came by.
    fn displace(&mut self) -> bool {
        let mut found = None;
        for _ in 0..self.all.len().min(LOOKED_AT) {
            let here = self.hand;
            self.hand = if here + 1 < self.all.len() { here + 1 } else { 0 };
            let Some(Some(seat)) = self.all.get_mut(here) else { continue };
            if seat.leaving || !seat.occupancy.is_idle() {
                continue;
            }
            let answered = Some(seat.occupancy.answered());
            let unused = seat.answered == answered;
            seat.answered = answered;
            found = found.or(Some(here));
            if unused {
                found = Some(here);
                break;
            }
        }
        let Some(Some(seat)) = found.and_then(|found| self.all.get_mut(found)) else { return false };
        seat.leaving = true;
        seat.occupancy.tell_to_leave();
        self.leaving += 1;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut seats = self.room.seats();
        let Some(seat) = seats.all.get_mut(self.seat).and_then(Option::take) else { return };
        seats.free.push(self.seat);
        seats.open -= 1;
        seats.leaving -= usize::from(seat.leaving);
        let empty = seats.open == 0;
        drop(seats);
        if empty {
            self.room.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody whose first request has been answered.
    fn idle() -> Arc<Occupancy> {
        let occupancy = Arc::new(Occupancy::default());
        drop(Arc::clone(&occupancy).begin(false));
        occupancy
    }

    #[test]
    fn sl_05_who_has_been_idle_for_the_longest_makes_room() {
        let room = Arc::new(Room::default());
        let guests = [idle(), idle(), idle()];
        let places: Vec<_> = guests.iter().map(|guest| room.enter(3, guest).unwrap()).collect();
        let fourth = idle();
        let _fourth = room.enter(3, &fourth).unwrap();
        let leaving = || guests.iter().map(|guest| guest.is_leaving()).collect::<Vec<_>>();
        assert_eq!(leaving(), [true, false, false]);
        // The second is used, so the third goes first.
        drop(Arc::clone(&guests[1]).begin(false));
        let _fifth = room.enter(3, &idle()).unwrap();
        assert_eq!(leaving(), [true, false, true]);
        drop(places);
    }

    #[test]
    fn who_is_busy_begins_or_reads_slowly_is_not_displaced() {
        let room = Arc::new(Room::default());
        let (busy, beginning, reading) = (Arc::new(Occupancy::default()), idle(), idle());
        let _serving = Arc::clone(&busy).begin(false);
        beginning.received();
        reading.set_blocked(true);
        let _places: Vec<_> = [&busy, &beginning, &reading].map(|guest| room.enter(3, guest).unwrap()).into();
        assert!(room.enter(3, &idle()).is_none());
        reading.set_blocked(false);
        assert!(room.enter(3, &idle()).is_some());
        assert!(reading.is_leaving());
    }

    #[test]
    fn a_limit_goes_up_at_once_and_down_as_idle_connections_leave() {
        let room = Arc::new(Room::default());
        let guests: Vec<_> = (0..30).map(|_| idle()).collect();
        let mut places: Vec<_> = guests.iter().map(|guest| room.enter(30, guest).unwrap()).collect();
        places.push(room.enter(31, &idle()).unwrap());
        assert!(guests.iter().all(|guest| !guest.is_leaving()));
        assert!(room.enter(10, &idle()).is_none(), "eight of thirty-one have been told to leave");
        assert_eq!(guests.iter().filter(|guest| guest.is_leaving()).count(), DISPLACED_AT_ONCE);
        places.extend((0..3).filter_map(|_| room.enter(10, &idle())));
        assert_eq!(room.seats().staying(), 10);
    }

    #[tokio::test]
    async fn a_room_is_empty_when_the_last_one_has_left() {
        let room = Arc::new(Room::default());
        room.emptied().await;
        let (one, two) = (room.enter(2, &idle()).unwrap(), room.enter(2, &idle()).unwrap());
        drop(one);
        let waiting = tokio::spawn({
            let room = Arc::clone(&room);
            async move { room.emptied().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(two);
        waiting.await.unwrap();
        assert_eq!(room.seats().staying(), 0);
    }
}
