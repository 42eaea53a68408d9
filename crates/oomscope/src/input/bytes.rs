//! Bytes of a file: mapped, not copied; decompressed within bounds; decoded to text.
//! The one place of this crate with `unsafe`: the memory map.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use memmap2::Mmap;
use ruzstd::decoding::StreamingDecoder;

/// A file's bytes.
pub(crate) enum Content {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Deref for Content {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Content::Mapped(map) => map,
            Content::Owned(bytes) => bytes,
        }
    }
}

impl Content {
    /// The bytes as text.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        text(self)
    }

    /// Lets go of the memory of a mapped file's first `len` bytes: a reader is done with most of
    /// it. What is read again all the same comes from the system's cache.
    #[cfg_attr(not(unix), allow(unused_variables))]
    pub(crate) fn release(&self, len: usize) {
        #[cfg(unix)]
        if let Content::Mapped(map) = self {
            // SAFETY: the map is of a file, read-only and private, so that a dropped page has the
            // same bytes when it is read again. Advice that the system refuses changes nothing.
            let _ = unsafe {
                map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    0,
                    len.min(map.len()),
                )
            };
        }
    }
}

/// Standard input larger than this is cut there.
const MOST_FROM_STDIN: u64 = 4 << 30;
/// A compressed file may grow to this many times its size and these bytes: snapshots compress
/// about thirtyfold, bombs a thousandfold.
const MOST_GROWTH: u64 = 200;
const ALWAYS_ALLOWED: u64 = 64 << 20;

/// Maps a regular file; reads anything else (a pipe, a device) to its end.
pub(crate) fn open(path: &Path) -> io::Result<Content> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return read_to_limit(file, MOST_FROM_STDIN);
    }
    if metadata.len() == 0 {
        return Ok(Content::Owned(Vec::new()));
    }
    // SAFETY: the map is read-only and private to this process. A writer that truncates the file
    // meanwhile can end this process with SIGBUS, as it can any program that maps files.
    let map = unsafe { Mmap::map(&file)? };
    #[cfg(unix)]
    let _ = map.advise(memmap2::Advice::Sequential);
    Ok(Content::Mapped(map))
}

/// All of standard input.
pub(crate) fn standard_input() -> io::Result<Content> {
    read_to_limit(io::stdin().lock(), MOST_FROM_STDIN)
}

/// What a gzip or zstd file holds; anything else as it is.
pub(crate) fn decompressed(content: Content) -> io::Result<Content> {
    let limit = ALWAYS_ALLOWED.saturating_add((content.len() as u64).saturating_mul(MOST_GROWTH));
    match content.get(..4) {
        Some([0x1f, 0x8b, ..]) => read_to_limit(MultiGzDecoder::new(&*content), limit),
        Some([0x28, 0xb5, 0x2f, 0xfd]) => {
            let decoder = StreamingDecoder::new(&*content)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            read_to_limit(decoder, limit)
        }
        _ => Ok(content),
    }
}

/// What came before an error is kept: a truncated file yields its prefix.
fn read_to_limit(reader: impl Read, limit: u64) -> io::Result<Content> {
    let mut bytes = Vec::new();
    match reader.take(limit).read_to_end(&mut bytes) {
        Err(error) if bytes.is_empty() => return Err(error),
        Ok(_) | Err(_) => {}
    }
    if bytes.len() as u64 == limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it expands to more than {limit} bytes"),
        ));
    }
    Ok(Content::Owned(bytes))
}

/// The bytes as text: UTF-8, UTF-16 with a byte-order mark (as PowerShell writes), else lossy.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)),
        _ => String::from_utf8_lossy(bytes),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
    char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
