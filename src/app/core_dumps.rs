//! No core dumps: one would hold every secret of the process.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// From here on a crash leaves nothing behind, and only root may look into the process. There is no way back.
///
/// # Errors
/// The operating system refuses; a program with secrets should not go on then.
pub fn forbid_core_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // A limit of zero does not hold where the system pipes dumps into a program.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::{DumpableBehavior, dumpable_behavior, getrlimit};

    #[test]
    fn lg_06_neither_a_file_nor_a_program_gets_a_dump() {
        forbid_core_dumps().unwrap();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        // What the reader of the configuration asks the system about is still told.
        assert!(!std::fs::read_to_string("/proc/self/mountinfo").unwrap().is_empty());
    }
}
