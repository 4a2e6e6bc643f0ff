//! A disk that a test can fill, for a directory of a node.
//!
//! As root, by devices of the kernel's that are always full, one for each file: the node locks its files, and what is a link to
//! `/dev/full` has one lock with all others. Without the rights to make devices, by a file system of a few pages in a mount namespace
//! of the node's own.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use ingest_kit::NodeBuilder;

/// Of the file system: room for a file of every tenant, and its directories.
const SIZE: &str = "128k";

/// Mounts it, and becomes the program.
const MOUNT: &str = "mount -t tmpfs -o size=$0 disk \"$1\" && shift && exec \"$@\"";

/// A directory on a disk of its own.
pub(super) struct SmallDisk {
    directory: PathBuf,
    /// Keeps a file system of the node's own, also when the node is gone.
    mounted: Option<File>,
    has_devices: bool,
}

impl SmallDisk {
    /// At this directory, which is made.
    pub(super) fn at(directory: &Path) -> Self {
        fs::create_dir_all(directory).expect("a directory");
        let tried = directory.join("device");
        let has_devices = make_device(&tried);
        let _ = fs::remove_file(tried);
        Self { directory: directory.to_owned(), mounted: None, has_devices }
    }

    /// The node that is to have it.
    pub(super) fn beneath(&self, node: NodeBuilder) -> NodeBuilder {
        if self.has_devices {
            return node;
        }
        let directory = self.directory.to_str().expect("UTF-8");
        node.within(&["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, SIZE, directory])
    }

    /// Looks it up, once the node runs.
    pub(super) fn find(&mut self, pid: u32) {
        if self.has_devices {
            return;
        }
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        let seen = root.join(self.directory.strip_prefix("/").expect("an absolute path"));
        let mounted = File::open(seen).expect("the disk: it needs root, or a kernel that lets users make namespaces");
        self.mounted = Some(mounted);
    }

    /// Leaves no room for these files.
    pub(super) fn fill(&self, files: &[String]) {
        for file in files.iter().map(|file| self.path(file)) {
            fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
            if self.has_devices {
                assert!(make_device(&file), "no device {}", file.display());
            }
        }
        if !self.has_devices {
            let mut filler = File::create(self.path("filler")).expect("a file");
            while filler.write_all(&[0; 4_096]).is_ok() {}
        }
    }

    /// Makes room for them again.
    pub(super) fn make_room(&self, files: &[String]) {
        match self.has_devices {
            true => files.iter().for_each(|file| fs::remove_file(self.path(file)).expect("a device")),
            false => fs::remove_file(self.path("filler")).expect("a file"),
        }
    }

    /// What a file of it holds.
    pub(super) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).expect("a file")
    }

    fn path(&self, file: &str) -> PathBuf {
        match &self.mounted {
            Some(mounted) => PathBuf::from(format!("/proc/self/fd/{}", mounted.as_raw_fd())).join(file),
            None => self.directory.join(file),
        }
    }
}

/// Makes the kernel's device that is always full; whether one may.
fn make_device(path: &Path) -> bool {
    let made = Command::new("mknod").arg(path).args(["c", "1", "7"]).output();
    // Where devices of this file system are none (`nodev`), it can't be opened.
    made.is_ok_and(|made| made.status.success()) && File::options().append(true).open(path).is_ok()
}
