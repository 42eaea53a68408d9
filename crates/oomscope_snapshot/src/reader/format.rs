//! Which of its forms a snapshot has, told by content, and the one entry for reading them all.

use memchr::memmem;

use super::{html, json, pickle};
use crate::reader::error::ReadError;
use crate::snapshot::Snapshot;

/// The forms in which snapshots exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `torch.cuda.memory._dump_snapshot`, protocol 2 to 5.
    Pickle,
    /// The same structure as JSON.
    Json,
    /// `torch.cuda._memory_viz`: a page that holds the pickle in base64.
    Html,
}

/// Which form `bytes` has, or `None` when they are no snapshot. Looks at content, never at a name.
pub fn recognise(bytes: &[u8]) -> Option<Format> {
    if pickle::is_pickle(bytes) {
        return Some(Format::Pickle);
    }
    let text = after_blanks(bytes);
    if text.starts_with(b"{") {
        let has = |key: &[u8]| memmem::find(text, key).is_some();
        return (has(b"\"segments\"") || has(b"\"device_traces\"")).then_some(Format::Json);
    }
    if text.starts_with(b"<") {
        return memmem::find(text, b"\"base64\"").map(|_| Format::Html);
    }
    None
}

/// Reads a snapshot of any form. `Err` means that nothing could be read; otherwise what is wrong
/// stands in [`Snapshot::problems`].
pub fn read(bytes: &[u8]) -> Result<Snapshot, ReadError> {
    read_with(bytes, &mut |_| {})
}

/// Reads as [`read`] does, and says every few MiB how many bytes are behind it: for progress, and
/// for a caller that gives the pages of a mapped file back. Single places before that are looked
/// at again.
pub fn read_with(bytes: &[u8], progress: &mut dyn FnMut(usize)) -> Result<Snapshot, ReadError> {
    match recognise(bytes) {
        Some(Format::Pickle) => pickle::read(bytes, progress),
        Some(Format::Json) => json::read(bytes, progress),
        Some(Format::Html) => html::read(bytes, progress),
        None if bytes.is_empty() => Err(ReadError::Empty),
        None if pickle::is_text_pickle(bytes) => Err(ReadError::TextPickle),
        None => Err(ReadError::NotASnapshot),
    }
}

fn after_blanks(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start()
}

#[cfg(test)]
mod tests {
    use super::{Format, read, recognise};
    use crate::ReadError;

    #[test]
    fn the_form_is_told_by_content() {
        for (bytes, format) in [
            (&b"\x80\x04\x95"[..], Some(Format::Pickle)),
            (b"\x80\x02}q\x00", Some(Format::Pickle)),
            (b"\x80\x09}", None),
            (b"\x80\x04\xff", None),
            (b" {\"segments\": []}", Some(Format::Json)),
            (b"{\"other\": []}", None),
            (b"<!DOCTYPE html><script>[{\"base64\": \"\"}]", Some(Format::Html)),
            (b"PK\x03\x04", None),
            (b"", None),
        ] {
            assert_eq!(recognise(bytes), format, "{bytes:?}");
        }
    }

    #[test]
    fn old_text_protocols_are_refused_in_words() {
        assert_eq!(read(b"(dp0\nVsegments\n"), Err(ReadError::TextPickle));
        assert_eq!(read(b""), Err(ReadError::Empty));
        assert_eq!(read(b"hello"), Err(ReadError::NotASnapshot));
    }
}
