use redb::ReadableTableMetadata;

use super::*;
use crate::session::lifetime::TOMBSTONE_LIFETIME;
use crate::session::store::conformance::{self, key, sealed, used};
use crate::session::testing::TestClock;

mod crash;
mod disk;
mod faults;
mod ownership;
mod sessions;

const START: u64 = 1_800_000_000;

fn clock() -> Arc<TestClock> {
    Arc::new(TestClock::at(START))
}

fn open(directory: &Path, clock: &Arc<TestClock>) -> FileStore {
    FileStore::open(directory, Arc::clone(clock) as Arc<dyn Clock>).unwrap()
}

/// A directory that is not there yet, in one that goes away with the test.
fn place() -> (tempfile::TempDir, std::path::PathBuf) {
    let above = tempfile::tempdir().unwrap();
    let directory = above.path().join("store");
    (above, directory)
}

#[tokio::test]
async fn it_does_what_every_store_must() {
    let (clock, (_above, directory)) = (clock(), place());
    conformance::run(&open(&directory, &clock), &*clock).await;
}

#[tokio::test]
async fn a_restart_finds_everything_but_leases() {
    let (clock, (_above, directory)) = (clock(), place());
    let (index, marker) = (IndexKey([1; 32]), MarkerKey([1; 16]));
    let grant = crate::session::fixtures::grant("a").key.id();
    let later = clock.now().plus(Duration::from_secs(600));
    let store = open(&directory, &clock);
    store.insert(key(1), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
    clock.pass(10);
    assert!(store.touch(key(1), used(&clock, 3_600)).await.unwrap());
    store.remove(key(2)).await.unwrap();
    store.index_add(index, key(1), later).await.unwrap();
    store.write_index_tombstone(index, clock.now(), TOMBSTONE_LIFETIME).await.unwrap();
    assert!(store.put_once(marker, later).await.unwrap());
    assert!(store.take_lease(key(1), grant, [1; 16], Duration::from_secs(15)).await.unwrap());
    let stored = store.load(key(1)).await.unwrap();
    drop(store);

    let store = open(&directory, &clock);
    assert_eq!(store.load(key(1)).await.unwrap(), stored);
    assert_eq!(stored.unwrap().last_use, clock.now(), "a use is durable when the store is closed");
    assert_eq!(store.live_sessions(), 1);
    let late = store.insert(key(2), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
    assert_eq!(late, Inserted::Refused);
    assert_eq!(store.index_members(index).await.unwrap(), [key(1)]);
    assert_eq!(store.index_tombstone(index).await.unwrap(), Some(clock.now()));
    assert!(!store.put_once(marker, later).await.unwrap());
    assert!(store.take_lease(key(1), grant, [2; 16], Duration::from_secs(15)).await.unwrap());
}

#[tokio::test]
async fn ck_13_setting_the_clock_back_makes_no_session_live_longer() {
    let (clock, (_above, directory)) = (clock(), place());
    let store = open(&directory, &clock);
    store.insert(key(1), sealed(1, &clock, 5_000), used(&clock, 3_600)).await.unwrap();
    clock.jump(-50 * 365 * 86_400);
    clock.pass(3_000);
    // Nor does a use, or a write, under the wrong clock bring the end further away.
    assert!(store.touch(key(1), used(&clock, 3_600)).await.unwrap());
    let same = SealedSession { absolute_expiry: Timestamp::from_seconds(START + 5_000), ..sealed(2, &clock, 0) };
    assert_eq!(store.replace(key(1), 1, same).await.unwrap(), Replaced::Written);
    drop(store);
    let store = open(&directory, &clock);
    clock.pass(1_999);
    assert!(store.load(key(1)).await.unwrap().is_some());
    clock.pass(1);
    assert!(store.load(key(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn ss_08_what_was_written_under_a_clock_far_ahead_is_not_kept_for_ever() {
    let (clock, (_above, directory)) = (clock(), place());
    let fifty_years = 50 * 365 * 86_400;
    clock.jump(fifty_years);
    let store = open(&directory, &clock);
    store.insert(key(1), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
    drop(store);
    clock.jump(-fifty_years);
    let store = open(&directory, &clock);
    clock.pass(3_600);
    store.sweep().await.unwrap();
    assert_eq!(store.live_sessions(), 0);
}

/// A store that is driven turn by turn, without a thread.
struct ByHand {
    core: Arc<Core>,
    writer: Writer,
    room: Arc<Semaphore>,
}

fn by_hand(directory: &Path, clock: &Arc<TestClock>) -> ByHand {
    let directory = Directory::claim(directory).unwrap();
    let file = database::open_or_create(&directory).unwrap();
    let core = Arc::new(Core::new(&directory, file, clock.clone()).unwrap());
    let writer = Writer::new(Arc::clone(&core), directory, Box::new(database::open));
    ByHand { core, writer, room: Arc::new(Semaphore::new(1)) }
}

impl ByHand {
    /// One turn with one operation: its answer, which must be there afterwards, and how many entries were swept.
    fn turn<T: fmt::Debug + Send + 'static>(
        &mut self,
        step: impl FnOnce(&mut Tables<'_>, Now) -> Result<T, Setback> + Send + 'static,
    ) -> (T, usize) {
        let permit = Arc::clone(&self.room).try_acquire_owned().unwrap();
        let (job, mut answer) = Job::new(true, permit, |tables, now, _| step(tables, now));
        let turn = self.writer.turn(vec![job]);
        (answer.try_recv().unwrap().unwrap(), turn.swept)
    }
}

#[test]
fn between_two_operations_no_more_than_one_step_is_swept() {
    let (clock, (_above, directory)) = (clock(), place());
    let mut store = by_hand(&directory, &clock);
    let (new, used) = (sealed(1, &clock, 36_000), used(&clock, 3_600));
    store.turn(move |tables, now| {
        for number in 0..10_000_u64 {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            operation::insert(tables, now, &StoreKey::of_bytes(bytes), &new, used)?;
        }
        Ok(())
    });
    assert_eq!(store.core.held(), 10_000);
    clock.pass(3_600);
    let mut turns = 0;
    while store.core.held() > 0 {
        let before = store.core.held();
        let (removed, swept) = store.turn(|tables, now| operation::remove(tables, now, &key(1)));
        assert!(!removed && swept <= sweep::STEP && before - store.core.held() <= sweep::STEP);
        turns += 1;
        assert!(turns <= 10_000 / sweep::STEP + 1);
    }
    // When there is nothing to do nothing is written.
    assert_eq!(store.writer.turn(Vec::new()), writer::Turn::default());
}

#[test]
fn what_waits_is_written_together_and_a_use_is_durable_within_seconds() {
    let (clock, (_above, directory)) = (clock(), place());
    let mut store = by_hand(&directory, &clock);
    let (new, first) = (sealed(1, &clock, 36_000), used(&clock, 3_600));
    store.turn(move |tables, now| operation::insert(tables, now, &key(1), &new, first));
    let (jobs, queued) = mpsc::channel();
    let room = Arc::new(Semaphore::new(100));
    let mut answers = Vec::new();
    for _ in 0..100 {
        let permit = Arc::clone(&room).try_acquire_owned().unwrap();
        let (job, answer) =
            Job::new(false, permit, move |tables, now, _| operation::touch(tables, now, &key(1), first));
        jobs.send(job).unwrap();
        answers.push(answer);
    }
    for (size, room_left) in [(64, 64), (36, 100)] {
        let batch = store.writer.wait(&queued).unwrap();
        assert_eq!(batch.len(), size);
        assert!(store.writer.turn(batch).committed);
        assert_eq!(room.available_permits(), room_left);
    }
    assert!(answers.into_iter().all(|mut answer| answer.try_recv().unwrap().unwrap()));
    clock.pass(4);
    assert!(!store.writer.turn(Vec::new()).committed);
    clock.pass(1);
    assert!(store.writer.turn(Vec::new()).committed, "the commit that makes the uses durable");
    assert!(!store.writer.turn(Vec::new()).committed);
    drop(jobs);
    assert!(store.writer.wait(&queued).is_none());
}

#[test]
fn a_session_in_use_is_put_off_and_everything_else_is_forgotten() {
    let (clock, (_above, directory)) = (clock(), place());
    let mut store = by_hand(&directory, &clock);
    let (new, first) = (sealed(1, &clock, 36_000), used(&clock, 3_600));
    let until = clock.now().plus(Duration::from_secs(60));
    store.turn(move |tables, now| {
        operation::insert(tables, now, &key(1), &new, first)?;
        operation::insert(tables, now, &key(2), &new, first)?;
        operation::remove(tables, now, &key(2))?;
        operation::index_add(tables, now, &IndexKey([1; 32]), &key(1), until)?;
        operation::write_index_tombstone(tables, now, &IndexKey([1; 32]), until, TOMBSTONE_LIFETIME)?;
        operation::put_once(tables, now, &MarkerKey([1; 16]), until, 10)
    });
    clock.pass(3_000);
    let second = used(&clock, 3_600);
    store.turn(move |tables, now| operation::touch(tables, now, &key(1), second));
    let count = |store: &mut ByHand| {
        store.turn(|tables, _| {
            let others = tables.tombstones.len()? + tables.markers.len()? + tables.members.len()?;
            Ok((tables.sessions.len()?, others + tables.index_tombstones.len()?, tables.due.len()?))
        })
    };
    assert_eq!(count(&mut store).0, (1, 0, 2), "what was removed is still to be looked at once");
    clock.pass(600);
    store.writer.turn(Vec::new());
    assert_eq!(count(&mut store).0, (1, 0, 1), "used since it was last looked at");
    clock.pass(3_000);
    store.writer.turn(Vec::new());
    assert_eq!(count(&mut store).0, (0, 0, 0));
}

#[test]
fn mm_03_an_index_lets_go_of_sessions_that_are_gone_but_not_of_those_on_their_way() {
    let (clock, (_above, directory)) = (clock(), place());
    let mut store = by_hand(&directory, &clock);
    let (index, new, first) = (IndexKey([1; 32]), sealed(1, &clock, 36_000), used(&clock, 3_600));
    store.turn(move |tables, now| {
        for id in 0..3 {
            operation::index_add(tables, now, &index, &key(id), new.absolute_expiry)?;
        }
        operation::insert(tables, now, &key(1), &new, first)?;
        operation::insert(tables, now, &key(2), &new, first)?;
        operation::remove(tables, now, &key(2))
    });
    let members = |store: &mut ByHand| {
        store.writer.turn(Vec::new());
        let mut members = store.core.read(|file, now| reading::index_members(file, now, &index)).unwrap();
        members.sort();
        members
    };
    clock.pass(59);
    assert_eq!(members(&mut store).len(), 3);
    clock.pass(1);
    assert_eq!(members(&mut store), [key(1)]);
    // In use it stays, and goes with its session.
    clock.pass(3_000);
    let second = used(&clock, 3_600);
    store.turn(move |tables, now| operation::touch(tables, now, &key(1), second));
    clock.pass(3_599);
    assert_eq!(members(&mut store), [key(1)]);
    clock.pass(1);
    assert_eq!(members(&mut store), []);
}

#[test]
fn mm_03_markers_are_bounded_and_the_bound_refuses() {
    let (clock, (_above, directory)) = (clock(), place());
    let mut store = by_hand(&directory, &clock);
    let until = clock.now().plus(Duration::from_secs(60));
    let mut put = |clock: &TestClock, number: u8| {
        let until = until.max(clock.now().plus(Duration::from_secs(10)));
        store
            .turn(move |tables, now| match operation::put_once(tables, now, &MarkerKey([number; 16]), until, 3) {
                Ok(put) => Ok(Some(put)),
                Err(Setback::Refused(StoreError::Full)) => Ok(None),
                Err(other) => Err(other),
            })
            .0
    };
    for number in 0..3 {
        assert_eq!(put(&clock, number), Some(true));
    }
    assert_eq!(put(&clock, 3), None);
    assert_eq!(put(&clock, 0), Some(false), "what is up stays up");
    clock.pass(60);
    assert_eq!(put(&clock, 3), Some(true));
}

#[tokio::test]
async fn one_entry_that_cannot_be_read_is_the_trouble_of_its_session_alone() {
    let (clock, (_above, directory)) = (clock(), place());
    let mut store = by_hand(&directory, &clock);
    store.turn(|tables, _| {
        tables.sessions.insert(key(1).as_bytes(), [0xff; 3].as_slice())?;
        Ok(())
    });
    drop(store);
    let store = open(&directory, &clock);
    assert!(matches!(store.load(key(1)).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.touch(key(1), used(&clock, 60)).await, Err(StoreError::Unavailable(_))));
    assert_eq!(*store.state().borrow(), StoreState::GOOD);
    store.insert(key(2), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
    assert_eq!(store.list().await.unwrap().into_iter().map(|one| one.key).collect::<Vec<_>>(), [key(2)]);
    store.remove(key(1)).await.unwrap();
    assert_eq!(store.load(key(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_session_takes_little_more_than_its_sealed_bytes() {
    let (clock, (_above, directory)) = (clock(), place());
    let mut store = by_hand(&directory, &clock);
    let (new, used) = (sealed(1, &clock, 36_000), used(&clock, 3_600));
    let sealed_bytes = (new.record.len() + new.card.len()) as u64;
    let stored = store.turn(move |tables, now| {
        operation::insert(tables, now, &key(1), &new, used)?;
        Ok(tables.sessions.stats()?.stored_bytes() + tables.due.stats()?.stored_bytes())
    });
    assert!(stored.0 <= sealed_bytes + 105, "{} bytes for {sealed_bytes}", stored.0);
}

#[test]
fn the_file_is_used_again_and_given_back_when_it_is_mostly_empty() {
    let (clock, (_above, directory)) = (clock(), place());
    let length = || directory.join(database::FILE).metadata().unwrap().len();
    let mut store = by_hand(&directory, &clock);
    let flood = |store: &mut ByHand, first: u64| {
        let new = SealedSession { record: vec![7; 2_000].into(), ..sealed(1, &clock, 36_000) };
        let used = used(&clock, 3_600);
        store.turn(move |tables, now| {
            for number in first..first + 1_500 {
                let key = StoreKey::of_bytes(std::array::from_fn(|at| number.to_be_bytes()[at % 8]));
                operation::insert(tables, now, &key, &new, used)?;
            }
            Ok(())
        });
        clock.pass(3_600);
        while store.core.held() > 0 {
            store.writer.turn(Vec::new());
        }
    };
    flood(&mut store, 0);
    let full = length();
    for round in 1..4 {
        flood(&mut store, round * 10_000);
    }
    assert!(length() <= full + full / 4, "{} after {full}", length());
    store.core.slot.close();
    drop(store);
    let claimed = Directory::claim(&directory).unwrap();
    let mut file = database::open(&claimed).unwrap();
    database::compact_if_mostly_empty(&claimed, &mut file, u64::MAX).unwrap();
    assert!(length() >= full / 2, "a small file is left alone");
    database::compact_if_mostly_empty(&claimed, &mut file, full / 4).unwrap();
    drop(file);
    assert!(length() < full / 4, "{} of {full}", length());
}
