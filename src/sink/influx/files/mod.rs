//! Points without a server: one line-protocol file per database.
//!
//! `{data_dir}/{database}/current.lp` grows by one write and one fsync per flush: only then are the flush's lines
//! confirmed. At its size limit it is renamed to the next number (`0000000001.lp`, ...), and from then on it never
//! changes: `influx write` or a bulk loader can take it. A file continues after a restart. What a crash tore off is the
//! beginning of a line: it is cut when the file is opened.
//!
//! Everything here blocks; [`crate::sink::influx::backend`] calls it off the actors' threads.

mod disk;
#[cfg(test)]
pub(super) mod tests;
mod writer;

pub(super) use self::disk::{Disk, System};
pub(super) use self::writer::LineFiles;
