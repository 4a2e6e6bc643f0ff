//! Decompression: compressed bytes are recognised by their magic number and opened where the format is supported.

use std::io::Read;

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

use super::units;

/// Most bytes that are decompressed: enough for ordinary messages, too few for a decompression bomb.
const MAX_INSIDE: u64 = 64 * 1024;
/// Magic number of gzip with its only method.
const GZIP: &[u8] = b"\x1f\x8b\x08";
/// Magic numbers of formats that are not supported: zstd, xz, bzip2, lz4, zip, 7z, rar, snappy's frames, lzip, lzma.
const UNKNOWN: [&[u8]; 10] = [
    b"\x28\xb5\x2f\xfd",
    b"\xfd7zXZ",
    b"BZh",
    b"\x04\x22\x4d\x18",
    b"PK\x03\x04",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\xff\x06\x00\x00sNaPpY",
    b"LZIP",
    b"\x5d\x00\x00",
];
/// Most of any 32 bytes that may be damaged in what still counts as text.
const MAX_OTHERS: u32 = 9;
/// Fewer decompressed bytes mean that the input only resembled compressed data.
const MIN_INSIDE: usize = 16;

/// Result of opening bytes that may be compressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inside {
    /// They are not recognised as compressed.
    NotCompressed,
    /// The decompressed bytes; nothing follows the compressed ones.
    Opened(Vec<u8>),
    /// Compressed, but not supported, too large, damaged, truncated, or followed by other bytes.
    Closed,
}

/// Opens bytes that are compressed as a whole, also without a magic number.
pub(super) fn whole(bytes: &[u8]) -> Inside {
    match marked(bytes) {
        Inside::NotCompressed => without_mark(bytes),
        inside => inside,
    }
}

/// Opens bytes that are compressed as a whole or from some position on, where a magic number shows it.
pub(super) fn parts(bytes: &[u8]) -> Vec<Inside> {
    let is_gzip = |window: &[u8]| window.first() == GZIP.first() && window == GZIP;
    let marks = bytes.windows(GZIP.len()).enumerate().skip(1).filter(|(_, window)| is_gzip(window));
    let within = marks.take(4).map(|(at, _)| marked(bytes.get(at..).unwrap_or_default()));
    std::iter::once(marked(bytes)).chain(within).collect()
}

fn marked(bytes: &[u8]) -> Inside {
    if bytes.starts_with(GZIP) {
        let mut gzip = GzDecoder::new(bytes);
        let (out, is_whole) = read(&mut gzip);
        return if is_whole && gzip.into_inner().is_empty() { Inside::Opened(out) } else { Inside::Closed };
    }
    if UNKNOWN.iter().any(|mark| bytes.starts_with(mark)) && !is_plain_text(bytes) {
        return Inside::Closed;
    }
    let is_zlib = matches!(bytes, [0x78, flags, ..] if (0x7800 + u16::from(*flags)).is_multiple_of(31));
    if !is_zlib {
        return Inside::NotCompressed;
    }
    let mut zlib = ZlibDecoder::new(bytes);
    let (out, is_whole) = read(&mut zlib);
    match is_whole && zlib.into_inner().is_empty() {
        true => Inside::Opened(out),
        false if is_whole || out.len() >= MIN_INSIDE => Inside::Closed,
        false => Inside::NotCompressed,
    }
}

/// Raw deflate has no magic number: any bytes may begin like it, but hardly any end like it.
pub(super) fn without_mark(bytes: &[u8]) -> Inside {
    if bytes.len() < MIN_INSIDE || is_plain_text(bytes) {
        return Inside::NotCompressed;
    }
    let mut deflate = DeflateDecoder::new(bytes);
    let (out, is_whole) = read(&mut deflate);
    let has_end = is_whole && deflate.into_inner().is_empty();
    match (has_end, out.len()) {
        (true, MIN_INSIDE..) => Inside::Opened(out),
        (false, MIN_INSIDE..) if units::spells_key(&out) => Inside::Closed,
        _ => Inside::NotCompressed,
    }
}

/// Whether bytes are UTF-8 text without control characters.
fn is_plain_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| !text.chars().any(is_odd))
}

fn is_odd(c: char) -> bool {
    c.is_control() && !c.is_ascii_whitespace()
}

/// The decompressed bytes, and whether these are all.
fn read(decoder: &mut impl Read) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let result = decoder.by_ref().take(MAX_INSIDE + 1).read_to_end(&mut out);
    let is_whole = result.is_ok() && out.len() as u64 <= MAX_INSIDE;
    (out, is_whole)
}

/// Whether bytes are text, a little damage aside: UTF-8, an encoding of one byte per character that is mostly ASCII, or
/// UTF-16 of such text (zero bytes are skipped).
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let mut window = Window::default();
    bytes.utf8_chunks().all(|chunk| {
        let mut chars = chunk.valid().chars().filter(|c| *c != '\0');
        chars.all(|c| window.takes(c.len_utf8(), is_odd(c))) && window.takes(chunk.invalid().len(), true)
    })
}

/// A sliding window over 32 bytes, one bit for each that is not text.
#[derive(Default)]
struct Window(u32);

impl Window {
    /// Adds bytes; whether the window still counts as text.
    fn takes(&mut self, bytes: usize, are_odd: bool) -> bool {
        (0..bytes).all(|_| {
            self.0 = self.0 << 1 | u32::from(are_odd);
            self.0.count_ones() <= MAX_OTHERS
        })
    }
}
