//! The page that PyTorch's memory viewer writes: the pickle lies in it as base64.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::{memchr, memmem};

use crate::reader::error::ReadError;
use crate::reader::pickle;
use crate::snapshot::Snapshot;

/// Reads the first embedded pickle. Offsets in problems count in the decoded pickle.
pub(crate) fn read(bytes: &[u8], progress: &mut dyn FnMut(usize)) -> Result<Snapshot, ReadError> {
    let mut rest = bytes;
    let mut last_error = ReadError::NothingEmbedded;
    while let Some(at) = memmem::find(rest, b"\"base64\"") {
        rest = rest.get(at + b"\"base64\"".len()..).unwrap_or_default();
        let Some(embedded) = decode(rest) else { continue };
        if !pickle::is_pickle(&embedded) {
            continue;
        }
        progress(bytes.len());
        match pickle::read(&embedded, &mut |_| {}) {
            Ok(mut snapshot) => {
                for problem in &mut snapshot.problems {
                    problem.at = format!("embedded pickle, {}", problem.at);
                }
                return Ok(snapshot);
            }
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// Decodes the string that follows `"base64"`; a truncated one as far as it goes.
fn decode(after_key: &[u8]) -> Option<Vec<u8>> {
    let open = memchr(b'"', after_key)?;
    let text = after_key.get(open + 1..)?;
    let text = text.get(..memchr(b'"', text).unwrap_or(text.len()))?;
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&STANDARD, config.with_decode_allow_trailing_bits(true));
    let whole = engine.decode(text).ok();
    whole.or_else(|| engine.decode(text.get(..text.len() / 4 * 4)?).ok())
}
