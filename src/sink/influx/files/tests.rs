//! The files of a database on a disk that counts, and that fails when it is told to.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::disk::{Disk, System};
use super::writer::*;

/// A real file system whose calls are written down. The next calls fail as often as it is told, with this error number.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    calls: Mutex<Vec<&'static str>>,
    failing_writes: AtomicUsize,
    failing_syncs: AtomicUsize,
    failing_directories: AtomicUsize,
}

pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;

impl Watched {
    /// The calls since this was last asked, those of directories in a row as one.
    pub(crate) fn take_calls(&self) -> Vec<&'static str> {
        let mut calls = std::mem::take(&mut *self.calls.lock());
        calls.dedup_by(|a, b| *a == "directory" && *b == "directory");
        calls
    }

    /// So many writes find the disk full from now on.
    pub(crate) fn fill_up(&self, count: usize) {
        self.failing_writes.store(count, Ordering::SeqCst);
    }

    /// So many fsyncs fail from now on.
    pub(crate) fn fail_syncs(&self, count: usize) {
        self.failing_syncs.store(count, Ordering::SeqCst);
    }

    fn call(&self, name: &'static str, failing: &AtomicUsize, error: i32) -> io::Result<()> {
        self.calls.lock().push(name);
        let fails = failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { Err(io::Error::from_raw_os_error(error)) } else { Ok(()) }
    }
}

impl Disk for Watched {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.call("write", &self.failing_writes, ENOSPC) {
            // As a disk that is full in the middle of a line.
            System.write(file, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        System.write(file, bytes)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.call("fsync", &self.failing_syncs, EIO)?;
        System.sync_file(file)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.call("directory", &self.failing_directories, EIO)?;
        System.sync_directory(path)
    }
}

fn files(directory: &Path) -> LineFiles {
    LineFiles::new(directory, "telemetry_acme", 40, Arc::new(System))
}

fn watched(directory: &Path, rotate_bytes: u64) -> (LineFiles, Arc<Watched>) {
    let disk = Arc::new(Watched::default());
    (LineFiles::new(directory, "telemetry_acme", rotate_bytes, disk.clone()), disk)
}

fn read(files: &LineFiles, name: &str) -> String {
    fs::read_to_string(files.directory().join(name)).unwrap_or_default()
}

#[test]
fn a_line_counts_only_after_one_write_one_fsync_and_its_files_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (mut files, disk) = watched(directory.path(), 40);
    files.append(b"a v=1 1\n").unwrap();
    assert_eq!(disk.take_calls(), ["directory", "write", "fsync"], "a new file");
    files.append(b"b v=1 1\n").unwrap();
    assert_eq!(disk.take_calls(), ["write", "fsync"], "once per flush");
    files.append(b"c v=1 1\nd v=1 1\ne v=1 1\n").unwrap();
    assert_eq!(disk.take_calls(), ["write", "fsync", "directory"], "the full file's new name");
    files.append(b"f v=1 1\n").unwrap();
    files.close();
    assert_eq!(disk.take_calls(), ["directory", "write", "fsync"], "the next file");
    assert_eq!(read(&files, CURRENT), "f v=1 1\n");
}

#[test]
fn every_directory_on_the_way_to_a_new_file_is_durable() {
    let directory = tempfile::tempdir().unwrap();
    let (mut files, disk) = watched(&directory.path().join("new/data"), 40);
    files.append(b"a v=1 1\n").unwrap();
    let synced = disk.calls.lock().iter().filter(|call| **call == "directory").count();
    assert_eq!(synced, files.directory().ancestors().count());
}

#[test]
fn a_file_whose_fsync_failed_is_never_written_again() {
    for confirmed in ["", "a v=1 1\n"] {
        let directory = tempfile::tempdir().unwrap();
        let (mut files, disk) = watched(directory.path(), 40);
        if !confirmed.is_empty() {
            files.append(confirmed.as_bytes()).unwrap();
        }
        disk.fail_syncs(2);
        for _ in 0..2 {
            assert_eq!(files.append(b"b v=1 1\n").unwrap_err().raw_os_error(), Some(EIO));
        }
        files.append(b"b v=1 1\n").unwrap();
        assert_eq!(read(&files, CURRENT), "b v=1 1\n");
        assert_eq!(read(&files, "0000000001.lp"), confirmed);
        assert!(!files.directory().join("0000000002.lp").exists(), "retries make no empty files");
        disk.take_calls();
        files.append(b"c v=1 1\n").unwrap();
        assert_eq!(disk.take_calls(), ["write", "fsync"], "the new file is trusted");
    }
}

#[test]
fn half_a_line_on_a_full_disk_is_undone() {
    let directory = tempfile::tempdir().unwrap();
    let (mut files, disk) = watched(directory.path(), 40);
    files.append(b"a v=1 1\n").unwrap();
    disk.failing_writes.store(1, Ordering::SeqCst);
    assert_eq!(files.append(b"b v=100 1\n").unwrap_err().raw_os_error(), Some(ENOSPC));
    assert_eq!(read(&files, CURRENT), "a v=1 1\n");
    files.append(b"b v=100 1\n").unwrap();
    assert_eq!(read(&files, CURRENT), "a v=1 1\nb v=100 1\n");
}

#[test]
fn a_name_that_is_not_durable_confirms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut files, disk) = watched(directory.path(), 8);
    disk.failing_directories.store(1, Ordering::SeqCst);
    assert_eq!(files.append(b"a v=1 1\n").unwrap_err().raw_os_error(), Some(EIO));
    assert_eq!(disk.take_calls(), ["directory"], "nothing is written into a file that may vanish");
    // The rename after this line fails to become durable: that is the next line's matter.
    disk.failing_directories.store(0, Ordering::SeqCst);
    files.append(b"a v=1 1\n").unwrap();
    disk.failing_directories.store(1, Ordering::SeqCst);
    assert!(files.append(b"b v=1 1\n").is_err());
    files.append(b"b v=1 1\n").unwrap();
    assert_eq!(
        (read(&files, "0000000001.lp"), read(&files, "0000000002.lp")),
        ("a v=1 1\n".into(), "b v=1 1\n".into())
    );
}

#[test]
fn lines_are_appended_and_a_restart_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = files(directory.path());
    first.append(b"a v=1 1\n").unwrap();
    first.append(b"b v=1 1\n").unwrap();
    first.close();
    let mut second = files(directory.path());
    second.append(b"c v=1 1\n").unwrap();
    assert_eq!(read(&second, CURRENT), "a v=1 1\nb v=1 1\nc v=1 1\n");
}

#[test]
fn a_full_file_gets_the_next_number_and_never_changes_again() {
    let directory = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let mut files = files(directory.path());
        files.append(b"first v=1 1\nsecond v=1 1\n").unwrap();
        files.append(b"third v=1 1\nfourth v=1 1\n").unwrap();
        let full = format!("{round:010}.lp");
        assert_eq!(read(&files, &full), "first v=1 1\nsecond v=1 1\nthird v=1 1\nfourth v=1 1\n");
        assert!(!files.directory().join(CURRENT).exists());
    }
    assert!(directory.path().join("telemetry_acme/0000000001.lp").exists());
}

#[test]
fn the_torn_line_of_a_crash_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let long = "x".repeat(200_000);
    for (found, kept) in [
        ("a v=1 1\nb v=1".to_owned(), "a v=1 1\n".to_owned()),
        ("a v=1 1\n".to_owned(), "a v=1 1\n".to_owned()),
        ("a v=".to_owned(), String::new()),
        (format!("a v=1 1\n{long}"), "a v=1 1\n".to_owned()),
        // What a file system leaves where the size is durable and the contents are not.
        (format!("a v=1 1\n{}", "\0".repeat(5_000)), "a v=1 1\n".to_owned()),
        (String::new(), String::new()),
    ] {
        let mut files = LineFiles::new(directory.path(), "d", u64::MAX, Arc::new(System));
        fs::create_dir_all(files.directory()).unwrap();
        fs::write(files.directory().join(CURRENT), found).unwrap();
        files.append(b"c v=1 1\n").unwrap();
        assert_eq!(read(&files, CURRENT), format!("{kept}c v=1 1\n"));
    }
}

#[test]
fn two_writers_never_share_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (files(directory.path()), files(directory.path()));
    first.append(b"a v=1 1\n").unwrap();
    assert_eq!(second.append(b"b v=1 1\n").unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    first.close();
    second.append(b"b v=1 1\n").unwrap();
    assert_eq!(read(&second, CURRENT), "a v=1 1\nb v=1 1\n");
}

#[test]
fn the_longest_database_names_have_directories_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    for length in [200, 201, 511] {
        let mut files = LineFiles::new(directory.path(), &"d".repeat(length), u64::MAX, Arc::new(System));
        files.append(format!("{length} v=1 1\n").as_bytes()).unwrap();
        assert_eq!(read(&files, CURRENT), format!("{length} v=1 1\n"));
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_and_the_next_append_tries_again() {
    let directory = tempfile::tempdir().unwrap();
    let obstacle = directory.path().join("telemetry_acme");
    fs::write(&obstacle, "").unwrap();
    let mut files = files(directory.path());
    assert!(files.append(b"a v=1 1\n").is_err());
    fs::remove_file(&obstacle).unwrap();
    files.append(b"a v=1 1\n").unwrap();
    assert_eq!(read(&files, CURRENT), "a v=1 1\n");
}
