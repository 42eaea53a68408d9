//! Bytes of a Python file as text, and back: byte order marks, PEP 263 declarations, damage.

/// How a file is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// UTF-8, which is Python's own.
    Utf8,
    /// UTF-8 behind a byte order mark.
    Utf8Marked,
    /// Each byte is the character of its number.
    Latin1,
    /// Something that we read with replacements and never write.
    Unknown,
}

/// A file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) text: String,
    pub(crate) encoding: Encoding,
    /// Where it is not what it says, and why.
    pub(crate) problem: Option<(Option<u32>, String)>,
}

/// Decodes a file. Never fails: what cannot be decoded is replaced, and that is said.
pub(crate) fn decode(bytes: Vec<u8>) -> Decoded {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let problem = Some((None, "UTF-16, which Python does not read either".to_owned()));
        return Decoded { text: String::new(), encoding: Encoding::Unknown, problem };
    }
    if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return utf8(rest.to_vec(), Encoding::Utf8Marked);
    }
    match declared(&bytes).as_deref() {
        None | Some("utf-8" | "utf8" | "ascii" | "us-ascii") => utf8(bytes, Encoding::Utf8),
        Some(
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "iso-latin-1" | "l1" | "8859"
            | "cp819",
        ) => Decoded {
            text: bytes.iter().map(|byte| char::from(*byte)).collect(),
            encoding: Encoding::Latin1,
            problem: None,
        },
        // Names, keywords and operators are ASCII in all that Python knows.
        Some(_) if bytes.is_ascii() => utf8(bytes, Encoding::Utf8),
        Some(other) => {
            let what = format!("encoding `{other}` is not known; other characters were replaced");
            let mut decoded = utf8(bytes, Encoding::Unknown);
            decoded.encoding = Encoding::Unknown;
            decoded.problem = Some((None, what));
            decoded
        }
    }
}

/// The text in its file's encoding; `None` where it cannot be written so.
pub(crate) fn encode(text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Utf8 => Some(text.as_bytes().to_vec()),
        Encoding::Utf8Marked => Some([b"\xef\xbb\xbf", text.as_bytes()].concat()),
        Encoding::Latin1 => {
            text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
        }
        Encoding::Unknown => None,
    }
}

fn utf8(bytes: Vec<u8>, encoding: Encoding) -> Decoded {
    match String::from_utf8(bytes) {
        Ok(text) => Decoded { text, encoding, problem: None },
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..at).unwrap_or_default();
            let line = before.split(|byte| *byte == b'\n').count();
            let what = "not UTF-8; what is not was replaced".to_owned();
            Decoded {
                text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
                encoding: Encoding::Unknown,
                problem: Some((u32::try_from(line).ok(), what)),
            }
        }
    }
}

/// The encoding that a comment in the first two lines names (PEP 263), in lower case with `-`.
fn declared(bytes: &[u8]) -> Option<String> {
    for line in bytes.split(|byte| *byte == b'\n').take(2) {
        let line = line.get(..line.len().min(256)).unwrap_or_default();
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        // A second line counts only below a comment or nothing.
        if !text.starts_with(b"#") {
            return None;
        }
        let text = String::from_utf8_lossy(text);
        let Some((_, after)) = text.split_once("coding") else { continue };
        let Some(name) = after.strip_prefix([':', '=']) else { continue };
        let name: String = name
            .trim_start_matches([' ', '\t'])
            .chars()
            .take_while(|character| character.is_ascii_alphanumeric() || "-_.".contains(*character))
            .collect();
        if !name.is_empty() {
            let name = name.to_ascii_lowercase().replace('_', "-");
            let plain = name.trim_end_matches("-unix").trim_end_matches("-dos");
            return Some(plain.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Encoding, decode, encode};

    #[test]
    fn what_was_read_whole_is_written_as_it_was() {
        for (bytes, encoding) in [
            (&b"x = 'a'\r\n"[..], Encoding::Utf8),
            (b"\xef\xbb\xbfx = 1\n", Encoding::Utf8Marked),
            (b"#!/usr/bin/python\n# -*- coding: latin-1 -*-\nx = '\xe9'\n", Encoding::Latin1),
            (b"# vim: set fileencoding=iso_8859_1 :\nx = '\xe9'\n", Encoding::Latin1),
            ("# coding: utf-8\nx = 'é'\n".as_bytes(), Encoding::Utf8),
            (b"# coding: gbk\nx = 1\n", Encoding::Utf8),
        ] {
            let decoded = decode(bytes.to_vec());
            assert_eq!((decoded.encoding, &decoded.problem), (encoding, &None), "{bytes:?}");
            assert_eq!(encode(&decoded.text, encoding).as_deref(), Some(bytes));
        }
    }

    #[test]
    fn damage_is_told_and_never_written() {
        for bytes in [&b"a\nx = '\xff'\n"[..], b"# coding: gbk\n\xc4\xe3\n", b"\xff\xfea\0"] {
            let decoded = decode(bytes.to_vec());
            assert!(decoded.problem.is_some(), "{bytes:?}");
            assert_eq!(encode(&decoded.text, decoded.encoding), None);
        }
        assert_eq!(decode(b"a\nx = '\xff'\n".to_vec()).problem.and_then(|(line, _)| line), Some(2));
    }
}
