//! The directory of points, where they go to files.

use std::path::Path;

use rustix::fs::statvfs;

use crate::app::preflight::result::CheckResult;
use crate::sink::influx::Config;

const ABOUT: &str = "files of points";

/// Less than this is gone within hours.
const LEAST_FREE: u64 = 1024 * 1024 * 1024;
/// A disk that is nearly full, whatever its size.
const LEAST_SHARE: u64 = 20;

/// Whether points can be written to files, where that is what they are written to.
pub(super) fn check(config: &Config) -> Option<CheckResult> {
    let directory = config.files()?;
    if let Err(error) = try_to_write(directory) {
        let found = format!("{} can't be written: {error}", directory.display());
        return Some(CheckResult::err(
            ABOUT,
            found,
            "give the node the right to it, or set influx.files.data_dir to another directory",
        ));
    }
    let space = nearest(directory).and_then(|directory| statvfs(directory).ok());
    let Some(space) = space else {
        return Some(CheckResult::ok(ABOUT, format!("{} can be written", directory.display())));
    };
    Some(assess(directory, space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize))
}

fn assess(directory: &Path, free: u64, total: u64) -> CheckResult {
    let mib = free / (1024 * 1024);
    let found = format!("{} can be written, {mib} MiB are free", directory.display());
    if free < LEAST_FREE || free < total / LEAST_SHARE {
        return CheckResult::warn(
            ABOUT,
            found,
            "free some space: a full disk holds up every point, and with `required` every message",
        );
    }
    CheckResult::ok(ABOUT, found)
}

/// Writes a file there and removes it. What is missing of the directory is made by the node, so it is tried further up.
fn try_to_write(directory: &Path) -> std::io::Result<()> {
    let existing = nearest(directory).ok_or(std::io::ErrorKind::NotFound)?;
    let file = existing.join(format!(".ingest-node-doctor-{}", std::process::id()));
    std::fs::write(&file, "")?;
    std::fs::remove_file(&file)
}

/// The directory itself, or the nearest one above it that exists.
fn nearest(directory: &Path) -> Option<&Path> {
    let here = Path::new(".");
    directory
        .ancestors()
        .map(|above| if above.as_os_str().is_empty() { here } else { above })
        .find(|above| above.exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preflight::result::Level;

    #[test]
    fn little_space_is_said() {
        let level = |free: u64, total: u64| assess(Path::new("d"), free << 30, total << 30).level;
        assert_eq!([level(500, 1_000), level(49, 1_000), level(0, 1)], [Level::Ok, Level::Warn, Level::Warn]);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_tried_further_up() {
        let directory = tempfile::tempdir().unwrap();
        assert!(try_to_write(&directory.path().join("a/b")).is_ok());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(try_to_write(Path::new("/proc/nope/a")).is_err());
    }
}
