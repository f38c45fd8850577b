use super::*;
use crate::session::store::conformance;
use crate::session::testing::TestClock;

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
    conformance::run(&open(&directory, &clock), &clock).await;
}
