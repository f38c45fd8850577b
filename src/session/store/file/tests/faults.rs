use std::io::ErrorKind;

use super::disk::{Disk, Fails};
use super::*;

fn opened(directory: &Directory, disk: &Disk) -> Result<redb::Database, FileStoreError> {
    // Next to nothing is kept in memory, so that the disk is asked.
    database::opened(directory, || database::builder().set_cache_size(1 << 12).create_with_backend(disk.clone()))
}

/// A store on a disk in memory; the directory is there for the lock alone.
pub(super) fn on(disk: &Disk, directory: &Path, clock: &Arc<TestClock>) -> Result<FileStore, FileStoreError> {
    let directory = Directory::claim(directory)?;
    let file = opened(&directory, disk)?;
    let again = disk.clone();
    FileStore::start(directory, file, Box::new(move |directory| opened(directory, &again)), clock.clone())
}

/// A disk with a file that holds nothing yet.
pub(super) fn new_disk() -> Disk {
    let disk = Disk::holding(Vec::new());
    database::initialise(&database::builder().create_with_backend(disk.clone()).unwrap()).unwrap();
    disk
}

#[track_caller]
fn is_unavailable<T: fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
}

#[tokio::test]
async fn ss_10_a_disk_that_takes_nothing_is_an_error_until_it_takes_something_again() {
    let full = [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other];
    for fails in full.into_iter().flat_map(|kind| [Fails::Writing(kind), Fails::Syncing(kind)]) {
        let (clock, (_above, directory), disk) = (clock(), place(), new_disk());
        let store = on(&disk, &directory, &clock).unwrap();
        let state = store.state();
        store.insert(key(1), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
        assert_eq!(*state.borrow(), StoreState::GOOD);

        disk.set_fails(fails);
        is_unavailable(store.insert(key(2), sealed(1, &clock, 36_000), used(&clock, 3_600)).await);
        is_unavailable(store.replace(key(1), 1, sealed(2, &clock, 36_000)).await);
        is_unavailable(store.put_once(MarkerKey([1; 16]), clock.now().plus(PATIENCE)).await);
        is_unavailable(store.remove(key(1)).await);
        assert!(!state.borrow().available, "{fails:?}");
        assert_eq!(state.borrow().deaf_since, None);

        disk.set_fails(Fails::Nothing);
        clock.pass(15);
        let inserted = store.insert(key(3), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
        assert_eq!(inserted, Inserted::Stored, "{fails:?}");
        assert!(state.borrow().available);
        assert_eq!(store.load(key(1)).await.unwrap().unwrap().sealed.generation, 1, "{fails:?}");
        assert!(store.put_once(MarkerKey([1; 16]), clock.now().plus(PATIENCE)).await.unwrap());
        drop(store);
        assert!(on(&disk, &directory, &clock).unwrap().load(key(3)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn ss_10_while_the_disk_is_full_sessions_are_read() {
    let (clock, (_above, directory), disk) = (clock(), place(), new_disk());
    let store = on(&disk, &directory, &clock).unwrap();
    store.insert(key(1), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
    disk.set_fails(Fails::Growing(ErrorKind::StorageFull));
    // Fills what the file has room for, then needs more.
    let large = SealedSession { record: vec![7; 1 << 20].into(), ..sealed(1, &clock, 36_000) };
    let mut inserted = 0;
    while inserted < 64 && store.insert(key(10 + inserted), large.clone(), used(&clock, 3_600)).await.is_ok() {
        inserted += 1;
    }
    assert!(inserted < 64);
    for id in (0..inserted).map(|number| 10 + number).chain([1]) {
        assert!(store.load(key(id)).await.unwrap().is_some());
    }
    assert_eq!(store.load(key(10 + inserted)).await.unwrap(), None, "what was refused is not there");
    assert!(!store.state().borrow().available, "reading does not hide that nothing can be written");
    disk.set_fails(Fails::Nothing);
    clock.pass(15);
    let again = store.insert(key(10 + inserted), large, used(&clock, 3_600)).await.unwrap();
    assert_eq!(again, Inserted::Stored);
}

#[tokio::test]
async fn ss_10_a_disk_that_cannot_be_read_has_lost_nobody() {
    let (clock, (_above, directory), disk) = (clock(), place(), new_disk());
    let first = on(&disk, &directory, &clock).unwrap();
    for id in 0..20 {
        let large = SealedSession { record: vec![7; 10 << 10].into(), ..sealed(1, &clock, 36_000) };
        first.insert(key(id), large, used(&clock, 3_600)).await.unwrap();
    }
    drop(first);
    let store = on(&disk, &directory, &clock).unwrap();
    disk.set_fails(Fails::Reading(ErrorKind::Other));
    is_unavailable(store.load(key(1)).await);
    assert!(!store.state().borrow().available);
    is_unavailable(store.list().await);
    disk.set_fails(Fails::Everything(ErrorKind::Other));
    is_unavailable(store.remove(key(2)).await);
    // Nor can it be opened again.
    is_unavailable(store.load(key(1)).await);
    is_unavailable(store.index_tombstone(IndexKey([1; 32])).await);
    disk.set_fails(Fails::Nothing);
    clock.pass(15);
    assert!(store.touch(key(1), used(&clock, 3_600)).await.unwrap());
    assert!(store.load(key(1)).await.unwrap().is_some());
    assert_eq!(*store.state().borrow(), StoreState::GOOD);
}

#[tokio::test]
async fn after_a_failure_it_finds_out_by_itself_that_it_is_over() {
    let (clock, (_above, directory), disk) = (clock(), place(), new_disk());
    let store = on(&disk, &directory, &clock).unwrap();
    disk.set_fails(Fails::Writing(ErrorKind::StorageFull));
    is_unavailable(store.remove(key(1)).await);
    let mut state = store.state();
    disk.set_fails(Fails::Nothing);
    clock.pass(15);
    state.wait_for(|state| state.available).await.unwrap();
}

#[tokio::test]
async fn ss_07_of_what_may_not_have_reached_the_disk_an_end_is_announced_and_the_rest_is_read_again() {
    let (clock, (_above, directory), disk) = (clock(), place(), new_disk());
    let store = on(&disk, &directory, &clock).unwrap();
    store.insert(key(1), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
    let (mut changes, state) = (store.changes(), store.state());
    disk.set_fails(Fails::Syncing(ErrorKind::Other));
    is_unavailable(store.remove(key(1)).await);
    assert_eq!(changes.try_recv().unwrap(), Change { key: key(1), kind: ChangeKind::Removed });
    disk.set_fails(Fails::Nothing);
    clock.pass(15);
    assert!(store.touch(key(1), used(&clock, 3_600)).await.unwrap());

    disk.set_fails(Fails::Syncing(ErrorKind::Other));
    is_unavailable(store.replace(key(1), 1, sealed(2, &clock, 36_000)).await);
    disk.set_fails(Fails::Nothing);
    clock.pass(15);
    assert!(store.touch(key(1), used(&clock, 3_600)).await.unwrap());
    assert!(changes.try_recv().is_err(), "nobody knows whether it has another generation");
    assert_eq!(state.borrow().gaps, 1);
}
