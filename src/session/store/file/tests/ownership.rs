use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Why a directory is refused; the text names `path`.
fn refused(directory: &Path, path: &Path) -> FileStoreError {
    let error = FileStore::open(directory, clock()).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    error
}

#[test]
fn ss_11_what_the_store_makes_is_ours_alone() {
    let (_above, directory) = place();
    let _store = open(&directory, &clock());
    assert_eq!(mode(&directory), 0o700);
    let files: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{file:?}"));
}

#[test]
fn ss_11_a_directory_that_others_may_enter_is_refused() {
    let (_above, directory) = place();
    fs::create_dir(&directory).unwrap();
    for mode in [0o701, 0o710, 0o750, 0o755, 0o2770, 0o777] {
        set_mode(&directory, mode);
        let error = refused(&directory, &directory);
        assert!(matches!(error, FileStoreError::OpenToOthers { mode: found, .. } if found == mode), "{error}");
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
    set_mode(&directory, 0o700);
    open(&directory, &clock());
}

#[test]
fn ss_11_what_is_no_directory_of_ours_is_refused() {
    let (above, directory) = place();
    let deep = above.path().join("not/there");
    assert!(matches!(refused(&deep, &deep), FileStoreError::NoParent { .. }));
    let link = above.path().join("link");
    fs::create_dir(&directory).unwrap();
    set_mode(&directory, 0o700);
    symlink(&directory, &link).unwrap();
    assert!(matches!(refused(&link, &link), FileStoreError::NotADirectory { .. }));
    let file = above.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(refused(&file, &file), FileStoreError::NotADirectory { .. }));
    let us = rustix::process::geteuid().as_raw();
    let error = Directory::claim_as(&directory, us + 1).unwrap_err();
    assert!(matches!(error, FileStoreError::Foreign { owner, .. } if owner == us), "{error}");
    assert!(error.to_string().contains(&format!("chown {} {}", us + 1, directory.display())), "{error}");
}

#[test]
fn ss_11_a_file_that_others_may_read_or_that_is_a_link_is_refused() {
    let (above, directory) = place();
    open(&directory, &clock());
    for name in ["lock", database::FILE] {
        let file = directory.join(name);
        set_mode(&file, 0o640);
        assert!(refused(&directory, &file).to_string().contains("chmod 600"));
        set_mode(&file, 0o600);
        let elsewhere = above.path().join(name);
        fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
        assert!(matches!(refused(&directory, &file), FileStoreError::NotAFile { .. }));
        fs::remove_file(&file).unwrap();
        fs::rename(&elsewhere, &file).unwrap();
    }
    open(&directory, &clock());
}

#[tokio::test]
async fn ss_10_a_second_store_on_the_same_directory_is_refused() {
    let (clock, (_above, directory)) = (clock(), place());
    let store = open(&directory, &clock);
    let error = refused(&directory, &directory);
    assert!(matches!(error, FileStoreError::Owned { process, .. } if process == Some(std::process::id())), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    store.insert(key(1), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
    drop(store);
    assert_eq!(open(&directory, &clock).live_sessions(), 1);
}

#[test]
fn ss_10_redb_refuses_a_second_process_as_well() {
    let (_above, directory) = place();
    let _store = open(&directory, &clock());
    fs::remove_file(directory.join("lock")).unwrap();
    assert!(matches!(refused(&directory, &directory), FileStoreError::Owned { .. }));
}

#[test]
fn another_format_is_refused() {
    let (_above, directory) = place();
    let mut store = by_hand(&directory, &clock());
    store.turn(|tables, _| {
        tables.meta.insert(layout::FORMAT_NAME, layout::FORMAT + 1)?;
        Ok(())
    });
    store.core.slot.close();
    drop(store);
    let error = refused(&directory, &directory.join(database::FILE));
    assert!(matches!(error, FileStoreError::Format { found: 2, ours: 1, .. }), "{error}");
}

#[test]
fn ss_10_what_is_no_file_of_ours_is_refused_and_left_as_it_is() {
    let (_above, directory) = place();
    open(&directory, &clock());
    let file = directory.join(database::FILE);
    let whole = fs::read(&file).unwrap();
    let wrong_magic = [b"sqlite format 3\0", &whole[16..]].concat();
    for bytes in [&b""[..], b"x", &[0; 4096], &[0xff; 100_000], &wrong_magic, &whole[..100], &whole[..4096]] {
        fs::write(&file, bytes).unwrap();
        for _ in 0..2 {
            assert!(matches!(refused(&directory, &file), FileStoreError::Damaged { .. }), "{} bytes", bytes.len());
        }
        assert_eq!(fs::read(&file).unwrap(), bytes);
    }
    fs::remove_file(&file).unwrap();
    drop(redb::Database::create(&file).unwrap());
    set_mode(&file, 0o600);
    assert!(matches!(refused(&directory, &file), FileStoreError::Damaged { .. }), "a database of somebody else's");
}

#[tokio::test]
async fn ss_10_a_file_whose_end_is_torn_off_is_refused_or_holds_what_it_held() {
    let (clock, (_above, directory)) = (clock(), place());
    let store = open(&directory, &clock);
    for id in 0..100 {
        store.insert(key(id), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
    }
    drop(store);
    let file = directory.join(database::FILE);
    let whole = fs::read(&file).unwrap();
    for part in 1..40 {
        fs::write(&file, &whole[..whole.len() * part / 40]).unwrap();
        let store = match FileStore::open(&directory, clock.clone()) {
            Ok(store) => store,
            Err(error) => {
                assert!(matches!(error, FileStoreError::Damaged { .. }), "{error}");
                continue;
            }
        };
        for id in 0..100 {
            // Never an absence, never another's.
            match store.load(key(id)).await {
                Ok(stored) => assert_eq!(stored.unwrap().sealed, sealed(1, &clock, 36_000)),
                Err(error) => assert!(matches!(error, StoreError::Unavailable(_))),
            }
        }
    }
}

#[test]
fn a_file_that_was_not_finished_is_made_again() {
    let (_above, directory) = place();
    drop(Directory::claim(&directory).unwrap());
    fs::write(directory.join("sessions.redb.new"), "half").unwrap();
    set_mode(&directory.join("sessions.redb.new"), 0o600);
    assert_eq!(open(&directory, &clock()).live_sessions(), 0);
    assert!(!directory.join("sessions.redb.new").exists());
}

#[test]
fn ss_05_nothing_about_the_store_is_shown() {
    let (_above, directory) = place();
    let shown = format!("{:?}", open(&directory, &clock()));
    assert!(shown.starts_with("FileStore") && shown.len() < 200, "{shown}");
}
