//! What fits into the memory that this process may use: under a limit of the system, the defaults shrink until full use
//! leaves room. What is written stays as it is written.

use std::fs;
use std::path::{Path, PathBuf};

use crate::gateway::settings::{MemoryShare, Settings};
use crate::session::settings::StoreSettings;

/// What the process takes without any use, and for everything that is not counted here.
const BASE: u64 = 24 << 20;
/// A session in the memory store: its record, its card, its place in the indexes (docs/benchmarks.md).
const SESSION: u64 = 4_800;
/// A session that is kept open, so that its requests need no store.
const OPENED: u64 = 9_600;
/// A connection with a request on it: what is read and written of both sides, TLS included.
const CONNECTION: u64 = 64 << 10;
/// So much of the limit may be in use, in hundredths: the rest is for the system's buffers, which count too.
const SHARE: u64 = 70;
/// With fewer than these nobody could work; who has less memory gets them all the same.
const FEWEST: u64 = 64;

/// Which of the numbers are written in the file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    pub(super) sessions: bool,
    pub(super) connections: bool,
}

/// Shrinks the defaults in `settings` until they fit into `limit` bytes; notes what came of it when something had to.
pub(super) fn fit(settings: &mut Settings, written: Written, limit: u64) {
    let sessions = match settings.session.store {
        StoreSettings::Memory { max_sessions } => max_sessions as u64,
        _ => 0,
    };
    let connections = settings.listen.limits.connections as u64;
    let cache = settings.session.cache;
    let parts =
        [(sessions, SESSION, written.sessions), (connections, CONNECTION, written.connections), (cache, OPENED, false)];
    let taken = |fixed: bool| -> u64 {
        parts.iter().filter(|part| part.2 == fixed).map(|(count, each, _)| count.saturating_mul(*each)).sum()
    };
    let room = (limit / 100 * SHARE).saturating_sub(BASE).saturating_sub(taken(true));
    let wanted = taken(false).max(1);
    if wanted <= room {
        return;
    }
    let shrunk = |count: u64| {
        let fits = u128::from(count) * u128::from(room) / u128::from(wanted);
        u64::try_from(fits).unwrap_or(count).max(FEWEST).min(count)
    };
    if let (StoreSettings::Memory { max_sessions }, false) = (&mut settings.session.store, written.sessions) {
        *max_sessions = usize::try_from(shrunk(sessions)).unwrap_or(*max_sessions);
    }
    if !written.connections {
        settings.listen.limits.connections = usize::try_from(shrunk(connections)).unwrap_or(usize::MAX);
    }
    settings.session.cache = shrunk(cache);
    settings.memory = Some(MemoryShare { limit });
}

/// The limit of this process's control group, or of one that it lies in; `None` without one. `root` is where control
/// groups are mounted, `groups` what `/proc/self/cgroup` says.
pub(super) fn limit_of(root: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next(), fields.next(), fields.next());
        let (mount, file) = match controllers {
            // Version 2 has one tree, version 1 one for each controller.
            Some("") => (root.to_owned(), "memory.max"),
            Some(names) if names.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        above(&mount, path.unwrap_or("/")).into_iter().filter_map(|group| number(&group.join(file))).collect()
    });
    // Version 1 writes a number near 2^63 for no limit.
    limits.min().filter(|limit| *limit < 1 << 50)
}

/// A group and those around it, up to the mount itself: in a container the path may be one that is not to be seen there.
fn above(mount: &Path, path: &str) -> Vec<PathBuf> {
    let inside = Path::new(path.trim_start_matches('/'));
    inside.ancestors().map(|part| mount.join(part)).collect()
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_around_counts() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        assert_eq!(limit_of(root.path(), "0::/\n"), None);
        put("memory.max", "max\n");
        put("pod/memory.max", "134217728\n");
        put("pod/one/memory.max", "268435456\n");
        assert_eq!(limit_of(root.path(), "0::/pod/one\n"), Some(128 << 20));
        assert_eq!(limit_of(root.path(), "0::/elsewhere/one\n"), None);
        put("memory/a/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit_of(root.path(), "5:cpu:/a\n4:memory:/a/b\n"), None);
        put("memory/memory.limit_in_bytes", "67108864\n");
        assert_eq!(limit_of(root.path(), "4:hugetlb,memory:/a/b\n"), Some(64 << 20));
        assert_eq!(limit_of(root.path(), "nonsense"), None);
    }
}
