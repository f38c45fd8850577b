use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::faults::{new_disk, on};
use super::*;

/// What is known of a session: the generations it may be at, `None` for one that is not there.
type Known = HashMap<u64, Vec<Option<u64>>>;

fn numbered(number: u64) -> StoreKey {
    let mut bytes = [0; 32];
    // Spread, as hashes are.
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    StoreKey::of_bytes(bytes)
}

/// A session whose bytes name it.
fn named(number: u64, generation: u64, clock: &TestClock) -> SealedSession {
    let record = [&number.to_be_bytes()[..], &generation.to_be_bytes(), &[0xa5; 2_000]].concat();
    SealedSession { record: record.into(), ..sealed(generation, clock, 36_000) }
}

/// Begins, changes and, for every third, ends one session after the other. `say` hears of each step twice: before it is
/// asked for with what may be from then on, and with what is once it is done.
async fn work(
    store: &FileStore,
    clock: &TestClock,
    numbers: impl Iterator<Item = u64>,
    say: impl Fn(u64, &[Option<u64>]),
) {
    for number in numbers {
        let key = numbered(number);
        say(number, &[None, Some(1)]);
        let inserted = store.insert(key, named(number, 1, clock), used(clock, 3_600)).await.unwrap();
        assert_eq!(inserted, Inserted::Stored);
        say(number, &[Some(1)]);
        say(number, &[Some(1), Some(2)]);
        let replaced = store.replace(key, 1, named(number, 2, clock)).await.unwrap();
        assert_eq!(replaced, Replaced::Written);
        say(number, &[Some(2)]);
        assert!(store.touch(key, used(clock, 3_600)).await.unwrap());
        if number % 3 == 0 {
            say(number, &[Some(2), None]);
            assert!(store.remove(key).await.unwrap());
            say(number, &[None]);
        }
    }
}

async fn check(store: &FileStore, clock: &TestClock, known: &Known) {
    for (number, generations) in known {
        let stored = store.load(numbered(*number)).await.unwrap();
        let generation = stored.as_ref().map(|stored| stored.sealed.generation);
        assert!(generations.contains(&generation), "{number} is at {generation:?} and not one of {generations:?}");
        if let Some(stored) = stored {
            assert_eq!(stored.sealed, named(*number, stored.sealed.generation, clock), "the bytes of {number}");
        }
        if generations == &[None] {
            let again = store.insert(numbered(*number), named(*number, 1, clock), used(clock, 3_600)).await.unwrap();
            assert_eq!(again, Inserted::Refused, "the tombstone of {number} is there as well");
        }
    }
    assert_eq!(store.list().await.unwrap().len(), store.live_sessions());
}

const PLACE: &str = "VESTIBULE_TEST_WRITES_UNTIL_KILLED";
const FIRST: &str = "VESTIBULE_TEST_FIRST_NUMBER";

#[expect(clippy::disallowed_methods, reason = "the way from a test to the process it starts")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What the process does that is killed: it writes, and says so.
async fn write_until_killed(directory: PathBuf) {
    let clock = clock();
    let store = open(&directory, &clock);
    let first: u64 = told(FIRST).unwrap().parse().unwrap();
    let say = |number: u64, generations: &[Option<u64>]| {
        let generations: Vec<_> = generations.iter().map(|known| known.unwrap_or(0).to_string()).collect();
        // One write of the system, so that no line is half there.
        let line = format!("\n@ {number} {}\n", generations.join(" "));
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    };
    let workers = (0..8).map(|worker| work(&store, &clock, (first + worker..).step_by(8), say));
    futures_util::future::join_all(workers).await;
}

fn start(directory: &Path, first: u64) -> Child {
    let test = "session::store::file::tests::crash::ss_10_kill_9_loses_nothing_that_was_confirmed";
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(PLACE, directory)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn ss_10_kill_9_loses_nothing_that_was_confirmed() {
    if let Some(directory) = told(PLACE) {
        return write_until_killed(directory.into()).await;
    }
    let (clock, (_above, directory)) = (clock(), place());
    let mut known = Known::new();
    for round in 0..12_u64 {
        let mut child = start(&directory, round * 1_000_000);
        let mut said = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let Some(line) = line.strip_prefix("@ ") else { continue };
            let mut numbers = line.split(' ').map(|number| number.parse::<u64>().unwrap());
            let number = numbers.next().unwrap();
            known.insert(number, numbers.map(|generation| (generation > 0).then_some(generation)).collect());
            said += 1;
            if said == 1 {
                let refused = FileStore::open(&directory, clock.clone()).unwrap_err();
                assert!(
                    matches!(refused, FileStoreError::Owned { process, .. } if process == Some(child.id())),
                    "{refused}"
                );
            }
            if said == 20 + 53 * round {
                child.kill().unwrap();
            }
        }
        assert!(said >= 20 + 53 * round, "round {round} said {said} lines");
        child.wait().unwrap();
        let store = open(&directory, &clock);
        check(&store, &clock, &known).await;
    }
}

#[tokio::test]
async fn ss_10_a_loss_of_power_loses_nothing_that_was_confirmed() {
    let (clock, (_above, directory), disk) = (clock(), place(), new_disk());
    let known = Arc::new(Mutex::new(Known::new()));
    let (images, watched) = (Arc::new(Mutex::new(Vec::new())), Arc::clone(&known));
    let (taken, mut seen, mut random) = (Arc::clone(&images), 0_u64, 1_u64);
    let store = on(&disk, &directory, &clock).unwrap();
    disk.watch(move |platter| {
        seen += 1;
        if seen % 7 == 0 {
            let image = platter.after_power_loss(|| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                random >> 63 == 1
            });
            taken.lock().unwrap().push((image, watched.lock().unwrap().clone()));
        }
    });
    let say = |number: u64, generations: &[Option<u64>]| {
        known.lock().unwrap().insert(number, generations.to_vec());
    };
    futures_util::future::join_all((0..4).map(|worker| work(&store, &clock, (worker..24).step_by(4), say))).await;
    drop(store);
    let images = std::mem::take(&mut *images.lock().unwrap());
    assert!(images.len() >= 20, "{} images", images.len());
    for (image, known) in images {
        let store = on(&image, &directory, &clock).unwrap();
        check(&store, &clock, &known).await;
    }
}

#[tokio::test]
async fn ss_10_flipped_bits_are_refused_or_serve_nobody_elses_session() {
    let (clock, (_above, directory)) = (clock(), place());
    let store = open(&directory, &clock);
    work(&store, &clock, 0..60, |_, _| {}).await;
    drop(store);
    let file = directory.join(database::FILE);
    let whole = std::fs::read(&file).unwrap();
    let mut random = 7_u64;
    for _ in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..16 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(random >> 33).unwrap() % bytes.len();
            bytes[at] ^= 1 << (random >> 30 & 7);
        }
        std::fs::write(&file, bytes).unwrap();
        let Ok(store) = FileStore::open(&directory, clock.clone()) else { continue };
        for number in 0..60_u64 {
            if let Ok(Some(stored)) = store.load(numbered(number)).await {
                let others = (0..60).filter(|other| *other != number);
                let bodies = others.map(|other| named(other, stored.sealed.generation, &clock).record);
                assert!(bodies.into_iter().all(|body| body != stored.sealed.record), "{number}");
            }
        }
    }
}
