//! Says that something may have changed in the directories of files. What it is, is for others to look at.
//!
//! Directories are watched and not files: Kubernetes puts a new version beside the old one and swaps the symbolic link
//! `..data`, and editors put a new file in the place of the old one. A file that was watched would be watched for ever.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// So long nothing more may happen before anybody looks: a change has several steps.
const QUIET: Duration = Duration::from_millis(200);
/// Whoever never stops changing things is looked at all the same.
const LONGEST: Duration = Duration::from_secs(2);
/// Links that lead to links; more are a circle.
const MOST_LINKS: usize = 16;

/// The watched directories.
pub(super) struct Watch {
    /// None where the system has no such thing, or no room for more of it.
    watcher: Option<RecommendedWatcher>,
    directories: BTreeSet<PathBuf>,
    stirred: Arc<Notify>,
    /// That something cannot be watched is told once.
    has_warned: bool,
}

impl Watch {
    pub(super) fn new() -> Self {
        let stirred = Arc::new(Notify::new());
        let tell = Arc::clone(&stirred);
        let made = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // What cannot be said exactly may be anything.
            if event.is_ok_and(|event| !is_change(event.kind)) {
                return;
            }
            tell.notify_one();
        });
        let mut watch = Self { watcher: None, directories: BTreeSet::new(), stirred, has_warned: false };
        match made {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.warn(&error),
        }
        watch
    }

    /// Watches these directories and no others.
    pub(super) fn follow(&mut self, directories: BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.directories.difference(&directories) {
            // It may have gone by itself.
            let _ = watcher.unwatch(gone);
        }
        let mut failure = None;
        for directory in &directories {
            // Those that are watched already too: one of the same name may have taken its place.
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                failure = Some(error);
            }
        }
        self.directories = directories;
        if let Some(error) = failure {
            self.warn(&error);
        }
    }

    /// Waits until something has happened and then been quiet for a moment.
    pub(super) async fn changed(&self) {
        self.stirred.notified().await;
        let quiet = async { while tokio::time::timeout(QUIET, self.stirred.notified()).await.is_ok() {} };
        let _ = tokio::time::timeout(LONGEST, quiet).await;
    }

    fn warn(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(
                event = "config.not-watched",
                %error,
                "a directory of the configuration cannot be watched: changes are found within half a minute, or at once \
                 with SIGHUP"
            );
        }
    }
}

/// Whether files can be others after this; that somebody reads one is no change.
const fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if !matches!(access, AccessKind::Close(AccessMode::Write)))
}

/// The directories in which a change can change what is read under `paths`: their own, and those of every symbolic link
/// on the way. Blocks.
pub(super) fn directories<'a>(paths: impl Iterator<Item = &'a Path>) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for path in paths {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let parent = match path.parent() {
                Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
                Some(parent) => parent,
                None => break,
            };
            // The directory a link led to yesterday is not the one to watch today.
            found.extend(parent.canonicalize().ok());
            match path.read_link() {
                Ok(target) => path = parent.join(target),
                Err(_) => break,
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_directories_of_links_are_watched_too() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (mount, version, other) = (root.join("mount"), root.join("mount/..1"), root.join("other"));
        for directory in [&mount, &version, &other] {
            std::fs::create_dir(directory).unwrap();
        }
        std::fs::write(version.join("file"), "").unwrap();
        symlink("..1", mount.join("..data")).unwrap();
        symlink("..data/file", mount.join("file")).unwrap();
        symlink(mount.join("file"), other.join("link")).unwrap();
        symlink("circle", other.join("circle")).unwrap();
        let watched = |path: PathBuf| directories(std::iter::once(path.as_path()));
        assert_eq!(watched(mount.join("file")), BTreeSet::from([mount.clone(), version.clone()]));
        assert_eq!(watched(other.join("link")), BTreeSet::from([other.clone(), mount, version]));
        assert_eq!(watched(other.join("circle")), BTreeSet::from([other.clone()]));
        assert_eq!(watched(other.join("not-there")), BTreeSet::from([other]));
        assert_eq!(watched(root.join("nowhere/file")), BTreeSet::new());
    }

    #[tokio::test]
    async fn a_change_is_noticed_and_reading_is_none() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "one").unwrap();
        let mut watch = Watch::new();
        watch.follow(directories(std::iter::once(file.as_path())));
        let patience = Duration::from_secs(20);
        std::fs::write(&file, "two").unwrap();
        tokio::time::timeout(patience, watch.changed()).await.unwrap();
        assert!(!is_change(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(!is_change(EventKind::Access(AccessKind::Read)));
        assert!(is_change(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(is_change(EventKind::Any));
        // Followed again, it still notices.
        watch.follow(directories(std::iter::once(file.as_path())));
        std::fs::rename(&file, root.path().join("moved")).unwrap();
        tokio::time::timeout(patience, watch.changed()).await.unwrap();
    }
}
