//! Which mount a file lies on, out of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Whether `path` (absolute, symbolic links resolved) lies on a tmpfs or on a read-only mount.
///
/// Kubernetes mounts secrets so: readable by everybody in the container, which is nobody else.
pub(super) fn is_private(mountinfo: &str, path: &Path) -> bool {
    let mut deepest: Option<(usize, bool)> = None;
    for line in mountinfo.lines() {
        let Some((mount, file_system)) = line.split_once(" - ") else { continue };
        let mut fields = mount.split(' ').skip(4);
        let (Some(point), Some(options)) = (fields.next(), fields.next()) else { continue };
        let mut fields = file_system.split(' ');
        let kind = fields.next().unwrap_or_default();
        let super_options = fields.nth(1).unwrap_or_default();
        let point = unescape(point);
        if path.starts_with(&point) {
            let read_only = |options: &str| options.split(',').any(|option| option == "ro");
            let private = matches!(kind, "tmpfs" | "ramfs") || read_only(options) || read_only(super_options);
            let depth = point.components().count();
            // A later mount on the same point lies over the earlier one.
            if deepest.is_none_or(|(deep, _)| depth >= deep) {
                deepest = Some((depth, private));
            }
        }
    }
    deepest.is_some_and(|(_, private)| private)
}

/// Space, tab, line feed and backslash stand there as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let octal = match (byte, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(octal.unwrap_or(byte));
        rest = after.get(if octal.is_some() { 3 } else { 0 }..).unwrap_or_default();
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:20 / /run rw,nosuid shared:2 - tmpfs tmpfs rw,size=100k
24 22 8:2 / /data ro,relatime - ext4 /dev/sdb1 rw
25 22 8:3 / /with\\040space rw - squashfs /dev/loop0 ro
26 23 8:4 / /run/disk rw - ext4 /dev/sdc1 rw
27 22 0:9 / /twice rw - ext4 /dev/sdd1 rw
28 22 0:9 / /twice rw - tmpfs tmpfs rw
";

    #[test]
    fn cf_02_tmpfs_and_read_only_mounts_are_known() {
        for (path, private) in [
            ("/etc/vestibule/key", false),
            ("/run/secrets/key", true),
            ("/runner/key", false),
            ("/data/key", true),
            ("/with space/key", true),
            ("/run/disk/key", false),
            ("/twice/key", true),
        ] {
            assert_eq!(is_private(MOUNTS, Path::new(path)), private, "{path}");
        }
        assert!(!is_private("", Path::new("/x")));
    }
}
