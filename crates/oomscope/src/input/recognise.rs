//! What an input is, told from its content; the name only breaks ties.

use super::bytes::text;

/// What an input is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// An error text or a log.
    Log,
    /// An allocator snapshot.
    Snapshot,
    /// Python source or a notebook.
    Source,
}

/// How much is looked at.
const SAMPLE: usize = 64 << 10;

/// What the content is, or why it is nothing that can be read.
pub(crate) fn kind(name: &str, content: &[u8]) -> Result<Kind, String> {
    if content.is_empty() {
        return Err("the file is empty".to_owned());
    }
    let name = name.to_lowercase();
    let sample = content.get(..content.len().min(SAMPLE)).unwrap_or(content);
    if is_notebook(sample, &name) {
        return Ok(Kind::Source);
    }
    if oomscope_snapshot::recognise(content).is_some() {
        return Ok(Kind::Snapshot);
    }
    if [".py", ".pyw", ".pyi"].iter().any(|ending| name.ends_with(ending)) {
        return Ok(Kind::Source);
    }
    let utf16 = sample.starts_with(&[0xff, 0xfe]) || sample.starts_with(&[0xfe, 0xff]);
    if !utf16 && looks_binary(sample) {
        return Err(binary_kind(sample).to_owned());
    }
    Ok(if looks_like_python(&text(sample)) { Kind::Source } else { Kind::Log })
}

#[allow(clippy::case_sensitive_file_extension_comparisons)] // the name was lowered
fn is_notebook(sample: &[u8], name: &str) -> bool {
    let has = |word: &[u8]| sample.windows(word.len()).any(|window| window == word);
    let opens = sample.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    opens && (name.ends_with(".ipynb") || (has(b"\"cells\"") && has(b"\"cell_type\"")))
}

/// Text has hardly any control characters; a log of a crashed machine may hold some zeros.
fn looks_binary(sample: &[u8]) -> bool {
    let odd = sample
        .iter()
        .filter(|byte| **byte < 9 || (14..27).contains(*byte) || (28..32).contains(*byte))
        .count();
    odd * 10 > sample.len()
}

fn binary_kind(sample: &[u8]) -> &'static str {
    match sample {
        [b'P', b'K', 3, 4, ..] => {
            "a zip archive (a `torch.save` checkpoint is one), not a snapshot"
        }
        [0x7f, b'E', b'L', b'F', ..] => "an executable",
        [0x89, b'P', b'N', b'G', ..] => "a picture",
        [0x80, ..] => "a pickle, but not an allocator snapshot",
        _ => "binary data that is neither a log nor a snapshot",
    }
}

/// Python has definitions and imports at line starts; a log with a traceback has them indented.
fn looks_like_python(text: &str) -> bool {
    let mut code = 0;
    for line in text.lines().take(400) {
        if line.starts_with("Traceback (most recent call last)")
            || line.contains("Error: ") && !line.contains('(')
        {
            return false;
        }
        let starts = ["import ", "from ", "def ", "class ", "@", "if __name__", "async def "];
        if starts.iter().any(|start| line.starts_with(start)) && !line.trim_end().ends_with('.') {
            code += 1;
        }
    }
    code >= 2
}

/// Whether an argument that is no existing path was meant as one.
pub(crate) fn looks_like_a_path(argument: &str) -> bool {
    let one_word = !argument.trim().contains(char::is_whitespace);
    let endings = [
        ".py", ".ipynb", ".log", ".txt", ".pickle", ".pkl", ".json", ".html", ".gz", ".zst",
        ".out", ".err",
    ];
    one_word
        && (argument.contains('/')
            || argument.contains('\\')
            || endings.iter().any(|ending| argument.ends_with(ending)))
}

#[cfg(test)]
mod tests {
    use super::{Kind, kind, looks_like_a_path};

    #[test]
    fn content_decides_what_an_input_is() {
        for (name, content, expected) in [
            ("run", "Traceback (most recent call last):\n  File \"a.py\", line 1\n", Kind::Log),
            ("notes", "import torch\nfrom torch import nn\n\ndef f():\n    pass\n", Kind::Source),
            ("a.log", "step 1 loss 0.1\nfrom here on it was slow.\n", Kind::Log),
            ("x", "{\"cells\": [{\"cell_type\": \"code\"}]}", Kind::Source),
        ] {
            assert_eq!(kind(name, content.as_bytes()), Ok(expected), "{name}");
        }
        assert!(kind("w.pt", b"PK\x03\x04\x00\x00\x00\x00\x00\x00").is_err());
        assert!(kind("empty", b"").is_err());
    }

    #[test]
    fn a_message_is_not_taken_for_a_path() {
        assert!(looks_like_a_path("runs/1/train.log"));
        assert!(looks_like_a_path("snapshot.pickle"));
        assert!(!looks_like_a_path("CUDA out of memory. Tried to allocate 2.00 GiB"));
    }
}
