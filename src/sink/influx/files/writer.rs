//! The files of one database: opened, appended to, made durable, and renamed when they are full.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;

pub(super) const CURRENT: &str = "current.lp";

/// Longest part of a path: file systems allow 255 bytes, a database's name may have 511.
const LONGEST_PART: usize = 200;

/// The files of one database.
#[derive(Debug)]
pub(crate) struct LineFiles {
    data_dir: PathBuf,
    directory: PathBuf,
    rotate_bytes: u64,
    disk: Arc<dyn Disk>,
    current: Option<Current>,
    /// An fsync of `current.lp` failed: it is set aside before anything else is written. The kernel may have dropped
    /// what it could not write, and the next fsync of that file would report success all the same.
    is_distrusted: bool,
}

#[derive(Debug)]
struct Current {
    file: File,
    /// Its size, all of it durable.
    bytes: u64,
}

impl LineFiles {
    /// The files of `database` below `data_dir`. Nothing is touched yet.
    pub(crate) fn new(data_dir: &Path, database: &str, rotate_bytes: u64, disk: Arc<dyn Disk>) -> Self {
        // A database's name is ASCII without dots and slashes: safe as a path, cut anywhere, and never a file of ours.
        let parts = database.as_bytes().chunks(LONGEST_PART).map(|part| String::from_utf8_lossy(part).into_owned());
        let directory = parts.fold(data_dir.to_path_buf(), |path, part| path.join(part));
        Self { data_dir: data_dir.to_path_buf(), directory, rotate_bytes, disk, current: None, is_distrusted: false }
    }

    /// Where they are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Appends lines, each ended by a line feed, with one write, and makes them durable with one fsync.
    ///
    /// # Errors
    /// Those of the file system; then none of the lines counts as written.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.current.as_ref().is_some_and(|current| current.bytes >= self.rotate_bytes) {
            self.rotate()?;
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.open()?,
        };
        if let Err(error) = self.write_durably(&mut current, lines) {
            // Part of it may be there (a full disk). Where even that can't be undone, the next opening cuts the torn line.
            let _ = current.file.set_len(current.bytes);
            return Err(error);
        }
        current.bytes += lines.len() as u64;
        let is_full = current.bytes >= self.rotate_bytes;
        self.current = Some(current);
        if is_full {
            // The lines are durable; what failed now is tried and reported again by the next append.
            let _ = self.rotate();
        }
        Ok(())
    }

    /// Lets go of the file: what counts as written is durable already.
    pub(crate) fn close(&mut self) {
        self.current = None;
    }

    fn write_durably(&mut self, current: &mut Current, lines: &[u8]) -> io::Result<()> {
        self.disk.write(&mut current.file, lines)?;
        let synced = self.disk.sync_file(&current.file);
        self.is_distrusted |= synced.is_err();
        synced
    }

    fn open(&mut self) -> io::Result<Current> {
        fs::create_dir_all(&self.directory)?;
        let mut current = self.open_current()?;
        if self.is_distrusted {
            self.set_aside(current)?;
            self.is_distrusted = false;
            current = self.open_current()?;
        }
        self.sync_directories()?;
        Ok(current)
    }

    fn open_current(&self) -> io::Result<Current> {
        let path = self.directory.join(CURRENT);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::new(io::ErrorKind::ResourceBusy, "another process writes this file"),
        })?;
        let bytes = cut_torn_line(&mut file)?;
        Ok(Current { file, bytes })
    }

    /// Makes room for a new file in the place of one whose fsync failed. What was confirmed of it was durable before.
    fn set_aside(&self, current: Current) -> io::Result<()> {
        if current.bytes == 0 {
            return fs::remove_file(self.directory.join(CURRENT));
        }
        self.rename_to_next_number()
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.current.is_some() {
            self.rename_to_next_number()?;
            self.current = None;
            self.disk.sync_directory(&self.directory)?;
        }
        Ok(())
    }

    fn rename_to_next_number(&self) -> io::Result<()> {
        let number = self.last_number()? + 1;
        fs::rename(self.directory.join(CURRENT), self.directory.join(format!("{number:010}.lp")))
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

    /// A new or renamed file is durable only when its directory is, and that one only with those above it. All of them,
    /// each time a file is opened: whoever made one may have died before it was durable.
    fn sync_directories(&self) -> io::Result<()> {
        for directory in self.directory.ancestors() {
            let is_ours = directory.starts_with(&self.data_dir);
            let path = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
            match self.disk.sync_directory(path) {
                // Above the data's own directory others may decide who looks; there nothing is made that was not there.
                Err(error) if !is_ours && error.kind() == io::ErrorKind::PermissionDenied => {}
                result => result?,
            }
        }
        Ok(())
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
