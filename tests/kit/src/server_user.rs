//! The user that a server runs as.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

/// The user that the server runs as when the process is root: PostgreSQL refuses to run as root.
#[derive(Debug)]
pub(crate) struct User {
    pub uid: u32,
    pub gid: u32,
}

impl User {
    pub(crate) fn for_server() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        ["postgres", "nobody"].iter().find_map(|name| {
            let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2).map(str::parse);
            Some(Self { uid: fields.next()?.ok()?, gid: fields.next()?.ok()? })
        })
    }

    /// Whether every directory above is open to it.
    pub(crate) fn can_reach(&self, dir: &Path) -> bool {
        dir.ancestors().skip(1).all(|above| {
            above.metadata().is_ok_and(|meta| meta.uid() == self.uid || meta.permissions().mode() & 0o001 != 0)
        })
    }

    /// Gives it the directory.
    ///
    /// # Panics
    /// When it could not get there: a directory above is closed to others.
    pub(crate) fn claim(&self, dir: &Path) {
        assert!(
            self.can_reach(dir),
            "PostgreSQL does not run as root, and the user it runs as cannot enter a directory above {}",
            dir.display(),
        );
        chown(dir, Some(self.uid), Some(self.gid))
            .unwrap_or_else(|e| panic!("cannot give away {}: {e}", dir.display()));
    }
}
