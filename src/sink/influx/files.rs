//! Points without a server: one line-protocol file per database.
//!
//! `{data_dir}/{database}/current.lp` grows by one write per flush; at its size limit it is fsynced and renamed to the
//! next number (`0000000001.lp`, ...), and from then on it never changes: `influx write` or a bulk loader can take it.
//! A file continues after a restart. What a crash tore off is the beginning of a line: it is cut when the file is opened.
//!
//! Everything here blocks; [`super::target`] calls it off the actors' threads.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const CURRENT: &str = "current.lp";

/// Longest part of a path: file systems allow 255 bytes, a database's name may have 511.
const LONGEST_PART: usize = 200;

/// The files of one database.
#[derive(Debug)]
pub struct LineFiles {
    directory: PathBuf,
    rotate_bytes: u64,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    bytes: u64,
}

impl LineFiles {
    /// The files of `database` below `data_dir`. Nothing is touched yet.
    pub fn new(data_dir: &Path, database: &str, rotate_bytes: u64) -> Self {
        // A database's name is ASCII without dots and slashes: safe as a path, cut anywhere, and never a file of ours.
        let parts = database.as_bytes().chunks(LONGEST_PART).map(|part| String::from_utf8_lossy(part).into_owned());
        let directory = parts.fold(data_dir.to_path_buf(), |path, part| path.join(part));
        Self { directory, rotate_bytes, current: None }
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Appends lines, each ended by a line feed, with one write; with `durably` they survive a crash of the machine.
    ///
    /// # Errors
    /// Those of the file system; then none of the lines is in the file.
    pub fn append(&mut self, lines: &[u8], durably: bool) -> io::Result<()> {
        if self.current.as_ref().is_some_and(|current| current.bytes >= self.rotate_bytes) {
            self.rotate()?;
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.open()?,
        };
        if let Err(error) = current.append(lines, durably) {
            // Part of it may be there (a full disk). Where even that can't be undone, the next opening cuts the torn line.
            let _ = current.file.set_len(current.bytes);
            return Err(error);
        }
        current.bytes += lines.len() as u64;
        let is_full = current.bytes >= self.rotate_bytes;
        self.current = Some(current);
        if is_full {
            // The lines are written; what failed now is tried and told again by the next append.
            let _ = self.rotate();
        }
        Ok(())
    }

    /// Makes everything durable and lets go of the file.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn close(&mut self) -> io::Result<()> {
        match self.current.take() {
            Some(current) => current.file.sync_all(),
            None => Ok(()),
        }
    }

    fn open(&self) -> io::Result<Current> {
        fs::create_dir_all(&self.directory)?;
        let path = self.directory.join(CURRENT);
        let is_new = !path.exists();
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::new(io::ErrorKind::ResourceBusy, "another process writes this file"),
        })?;
        let bytes = cut_torn_line(&mut file)?;
        if is_new {
            self.sync_directory()?;
        }
        Ok(Current { file, bytes })
    }

    fn rotate(&mut self) -> io::Result<()> {
        if let Some(current) = &self.current {
            current.file.sync_all()?;
            let number = self.last_number()? + 1;
            fs::rename(self.directory.join(CURRENT), self.directory.join(format!("{number:010}.lp")))?;
            self.current = None;
            self.sync_directory()?;
        }
        Ok(())
    }

    /// The highest number among the full files; 0 where there is none.
    fn last_number(&self) -> io::Result<u64> {
        let mut last = 0;
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".lp")?.parse().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(last)
    }

    /// A new or renamed file is durable only when its directory is.
    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

impl Current {
    fn append(&mut self, lines: &[u8], durably: bool) -> io::Result<()> {
        self.file.write_all(lines)?;
        if durably { self.file.sync_data() } else { Ok(()) }
    }
}

/// Cuts what follows the last line feed; the size that is left.
fn cut_torn_line(file: &mut File) -> io::Result<u64> {
    const STEP: u64 = 64 * 1024;
    let size = file.metadata()?.len();
    let mut end = size;
    let mut piece = Vec::new();
    let kept = loop {
        if end == 0 {
            break 0;
        }
        let start = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(start))?;
        piece.clear();
        file.take(end - start).read_to_end(&mut piece)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            break start + at as u64 + 1;
        }
        end = start;
    };
    if kept < size {
        file.set_len(kept)?;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path) -> LineFiles {
        LineFiles::new(directory, "telemetry_acme", 40)
    }

    fn read(files: &LineFiles, name: &str) -> String {
        fs::read_to_string(files.directory().join(name)).unwrap_or_default()
    }

    #[test]
    fn lines_are_appended_and_a_restart_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = files(directory.path());
        first.append(b"a v=1 1\n", false).unwrap();
        first.append(b"b v=1 1\n", true).unwrap();
        first.close().unwrap();
        let mut second = files(directory.path());
        second.append(b"c v=1 1\n", false).unwrap();
        assert_eq!(read(&second, CURRENT), "a v=1 1\nb v=1 1\nc v=1 1\n");
    }

    #[test]
    fn a_full_file_gets_the_next_number_and_never_changes_again() {
        let directory = tempfile::tempdir().unwrap();
        for round in 1..=3 {
            let mut files = files(directory.path());
            files.append(b"first v=1 1\nsecond v=1 1\n", false).unwrap();
            files.append(b"third v=1 1\nfourth v=1 1\n", false).unwrap();
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
            (String::new(), String::new()),
        ] {
            let mut files = LineFiles::new(directory.path(), "d", u64::MAX);
            fs::create_dir_all(files.directory()).unwrap();
            fs::write(files.directory().join(CURRENT), found).unwrap();
            files.append(b"c v=1 1\n", false).unwrap();
            assert_eq!(read(&files, CURRENT), format!("{kept}c v=1 1\n"));
        }
    }

    #[test]
    fn two_writers_never_share_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let (mut first, mut second) = (files(directory.path()), files(directory.path()));
        first.append(b"a v=1 1\n", false).unwrap();
        assert_eq!(second.append(b"b v=1 1\n", false).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        first.close().unwrap();
        second.append(b"b v=1 1\n", false).unwrap();
        assert_eq!(read(&second, CURRENT), "a v=1 1\nb v=1 1\n");
    }

    #[test]
    fn the_longest_database_names_have_directories_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        for length in [200, 201, 511] {
            let mut files = LineFiles::new(directory.path(), &"d".repeat(length), u64::MAX);
            files.append(format!("{length} v=1 1\n").as_bytes(), false).unwrap();
            assert_eq!(read(&files, CURRENT), format!("{length} v=1 1\n"));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error_and_the_next_append_tries_again() {
        let directory = tempfile::tempdir().unwrap();
        let obstacle = directory.path().join("telemetry_acme");
        fs::write(&obstacle, "").unwrap();
        let mut files = files(directory.path());
        assert!(files.append(b"a v=1 1\n", false).is_err());
        fs::remove_file(&obstacle).unwrap();
        files.append(b"a v=1 1\n", false).unwrap();
        assert_eq!(read(&files, CURRENT), "a v=1 1\n");
    }
}
