//! One line as a terminal, a web page or a paste left it, to the words that the program printed.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::ascii;

/// CSI and OSC sequences; a log viewer may have dropped the escape byte (`[0m`).
static ESCAPES: LazyLock<Regex> = LazyLock::new(|| {
    ascii::compile(
        r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|(?:\^\[|␛)\[[0-9;]*m|#x1B\[[0-9;]*m|\[[0-9]{1,2}(?:;[0-9]{1,3})*m",
    )
});

const ENTITIES: [(&str, &str); 8] = [
    ("&quot;", "\""),
    ("&#34;", "\""),
    ("&#39;", "'"),
    ("&#x27;", "'"),
    ("&gt;", ">"),
    ("&lt;", "<"),
    ("&nbsp;", " "),
    ("&amp;", "&"),
];

/// The line without colours, HTML entities, byte order mark and control characters.
pub(crate) fn clean(line: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(line);
    if line.contains(['\x1b', '␛', '^', '[', '#'])
        && let Cow::Owned(plain) = ESCAPES.replace_all(line, "")
    {
        text = Cow::Owned(plain);
    }
    if text.contains('&') {
        for (entity, plain) in ENTITIES {
            if text.contains(entity) {
                text = Cow::Owned(text.replace(entity, plain));
            }
        }
    }
    let is_odd = |c: char| c.is_control() && c != '\t' || c == '\u{feff}' || c == '\u{200b}';
    if text.contains(is_odd) {
        text = Cow::Owned(text.replace(is_odd, ""));
    }
    if text.contains('\u{a0}') {
        text = Cow::Owned(text.replace('\u{a0}', " "));
    }
    text
}

/// A text inside a JSON or Python string literal, unescaped: `\n` breaks lines again.
pub(crate) fn unescape(line: &str) -> String {
    line.replace("\\\\n", "\n")
        .replace("\\r\\n", "\n")
        .replace("\\n", "\n")
        .replace("\\t", "\t")
        .replace("\\\"", "\"")
        .replace("\\'", "'")
}

#[cfg(test)]
mod tests {
    use super::{clean, unescape};

    #[test]
    fn colours_and_entities_go() {
        assert_eq!(clean("\x1b[31mRuntimeError\x1b[0m: &quot;a&quot;"), "RuntimeError: \"a\"");
        assert_eq!(clean("\u{feff}Traceback"), "Traceback");
        assert_eq!(clean("[0;36m(pid=3)[0m x"), "(pid=3) x");
    }

    #[test]
    fn what_is_plain_is_borrowed() {
        assert!(matches!(clean("step 1 [0] x"), std::borrow::Cow::Borrowed(_)));
    }

    #[test]
    fn an_escaped_text_has_lines_again() {
        assert_eq!(unescape(r#"a\n  File \"x\""#), "a\n  File \"x\"");
    }
}
