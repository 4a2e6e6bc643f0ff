//! Runs the fuzz targets over the corpus on the stable toolchain: every input, every beginning of it, and every byte of it
//! changed.
//!
//! `fuzz/` holds the same targets for libFuzzer, which finds new inputs.
#![allow(clippy::expect_used, reason = "a test that panics has said what it had to say")]

mod targets;

use std::fs;
use std::path::PathBuf;

use targets::{TARGETS, Target};

/// The inputs of a target, with their names.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let read = |path: PathBuf| {
        let data = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, data)
    };
    let inputs: Vec<_> = entries.map(|entry| read(entry.expect("a readable directory").path())).collect();
    assert!(!inputs.is_empty(), "{} is empty", directory.display());
    inputs
}

/// Runs every target on what `variants` makes of every input of its corpus.
fn replay(variants: impl Fn(&[u8], &mut dyn FnMut(&[u8]))) {
    for (name, target) in TARGETS {
        for (path, data) in corpus(name) {
            variants(&data, &mut |input| run(target, &path, input));
        }
    }
}

/// Runs a target; a panic is reported with its input.
fn run(target: Target, path: &std::path::Path, input: &[u8]) {
    let result = std::panic::catch_unwind(|| target(input));
    assert!(result.is_ok(), "{}: {:?}", path.display(), String::from_utf8_lossy(input));
}

#[test]
fn every_input_of_the_corpus_passes() {
    replay(|data, run| run(data));
}

#[test]
fn every_beginning_of_an_input_passes() {
    replay(|data, run| (0..data.len()).for_each(|end| run(&data[..end])));
}

#[test]
fn every_input_passes_with_any_byte_changed() {
    const BYTES: &[u8] = b"\0\n\"\\/+#:,.-{}[]0uTe\xC3\xFF";
    replay(|data, run| {
        let mut changed = data.to_vec();
        for at in 0..data.len() {
            for byte in BYTES {
                changed[at] = *byte;
                run(&changed);
            }
            changed[at] = data[at];
        }
    });
}
