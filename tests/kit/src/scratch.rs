//! Folders of servers that end with their test.

use tempfile::TempDir;

/// Where they are in memory, if there is so much space (bytes): making files is much of what PostgreSQL does in a test, and much
/// cheaper there.
const MEMORY: &str = "/dev/shm";
const SPACE_IN_MEMORY: u64 = 8 << 30;

/// A folder that is removed with what it is returned as: in memory where that is allowed and there is plenty, else on disk.
///
/// # Panics
/// When it can't be made.
pub(crate) fn scratch_dir(prefix: &str, may_be_in_memory: bool) -> TempDir {
    let has_space = || rustix::fs::statvfs(MEMORY).is_ok_and(|disk| disk.f_bavail * disk.f_frsize >= SPACE_IN_MEMORY);
    let in_memory = (may_be_in_memory && has_space()).then(|| TempDir::with_prefix_in(prefix, MEMORY).ok()).flatten();
    in_memory.unwrap_or_else(|| TempDir::with_prefix(prefix).expect("a temporary directory"))
}
