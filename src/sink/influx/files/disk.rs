//! The calls that write and that make durable: a seam, so that tests can count them and let them fail.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// What is asked of a file system beyond opening and renaming.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Writes all of it at the file's end.
    ///
    /// # Errors
    /// Those of the file system; a part may have been written.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what the file holds.
    ///
    /// # Errors
    /// Those of the file system; what was written since the last success may be lost.
    fn sync_file(&self, file: &File) -> io::Result<()>;

    /// Makes durable which files the directory holds, and under which names.
    ///
    /// # Errors
    /// Those of the file system.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// The operating system's file systems.
#[derive(Debug)]
pub(crate) struct System;

impl Disk for System {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        // A file that grows has a new size: fdatasync would save nothing.
        file.sync_all()
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        match File::open(path)?.sync_all() {
            // EINVAL: a file system that knows no fsync of directories offers nothing better.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }
}
