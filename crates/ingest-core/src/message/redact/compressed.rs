//! Compressed bytes: recognised by their mark, and opened where the node knows how.

use std::io::Read;

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

use super::units;

/// Most bytes that are decompressed: enough for any message that is not meant to be a bomb.
const MAX_INSIDE: u64 = 64 * 1024;
/// The mark of gzip, and of its one method.
const GZIP: &[u8] = b"\x1f\x8b\x08";
/// The marks of what the node can't open: zstd, xz, bzip2, lz4, zip, 7z, rar, snappy's frames, lzip, lzma.
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
/// How many of any 32 bytes may be no text, for messages get damaged.
const MAX_OTHERS: u32 = 9;
/// Less than this came out of bytes that only looked as if they were compressed.
const MIN_INSIDE: usize = 16;

/// What is known of bytes that may be compressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inside {
    /// They are not, as far as anybody can say.
    NotCompressed,
    /// They are, and this was in them; nothing follows it.
    Opened(Vec<u8>),
    /// They are, but can't be opened, hold too much, are damaged or cut, or something follows.
    Closed,
}

/// Looks into bytes that are one thing as a whole, which may have no mark.
pub(super) fn whole(bytes: &[u8]) -> Inside {
    match marked(bytes) {
        Inside::NotCompressed => without_mark(bytes),
        inside => inside,
    }
}

/// Looks into bytes that may be compressed as a whole or from somewhere on, as far as a mark says so.
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

/// Deflate alone has no mark: any bytes may begin like it, but hardly any end like it.
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

/// Whether bytes are text without any damage.
fn is_plain_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| !text.chars().any(is_odd))
}

fn is_odd(c: char) -> bool {
    c.is_control() && !c.is_ascii_whitespace()
}

/// What comes out, and whether that is all.
fn read(decoder: &mut impl Read) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let result = decoder.by_ref().take(MAX_INSIDE + 1).read_to_end(&mut out);
    let is_whole = result.is_ok() && out.len() as u64 <= MAX_INSIDE;
    (out, is_whole)
}

/// Whether bytes are text, a little damage aside: UTF-8, an encoding of one byte per character that is mostly ASCII, or
/// UTF-16 of such text (zero bytes are looked through).
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let mut window = Window::default();
    bytes.utf8_chunks().all(|chunk| {
        let mut chars = chunk.valid().chars().filter(|c| *c != '\0');
        chars.all(|c| window.takes(c.len_utf8(), is_odd(c))) && window.takes(chunk.invalid().len(), true)
    })
}

/// The last 32 bytes that were looked at, a bit for each that is no text.
#[derive(Default)]
struct Window(u32);

impl Window {
    /// Takes in bytes; whether the window is still text.
    fn takes(&mut self, bytes: usize, are_odd: bool) -> bool {
        (0..bytes).all(|_| {
            self.0 = self.0 << 1 | u32::from(are_odd);
            self.0.count_ones() <= MAX_OTHERS
        })
    }
}
