//! Makes foreign text harmless: a log or a path may hold escape sequences that would drive the
//! reader's terminal, and characters that reorder or hide what stands beside them.

use crate::Charset;

/// `text` on one line, each control or invisible character spelled out.
pub(crate) fn clean(text: &str, charset: Charset) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' => clean.push(' '),
            '\t' => clean.push_str("    "),
            _ if is_dangerous(character) => clean.extend(character.escape_unicode()),
            _ if character.is_ascii() || charset == Charset::Unicode => clean.push(character),
            _ => match likeness(character) {
                Some(ascii) => clean.push_str(ascii),
                None => clean.extend(character.escape_unicode()),
            },
        }
    }
    clean
}

/// As [`clean`], for text that goes into a file rather than a terminal: line ends stay.
pub(crate) fn clean_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| clean(line, Charset::Unicode)).collect();
    lines.join("\n")
}

/// C0, C1, and what Unicode has for reordering, hiding and breaking lines ("Trojan Source").
pub(crate) fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The ASCII that reads most like it, for the characters that reports are written with.
fn likeness(character: char) -> Option<&'static str> {
    Some(match character {
        '─' | '—' | '–' | '−' | '‑' | '·' => "-",
        '│' | '┃' | '├' => "|",
        '█' | '▇' | '▆' | '▅' => "#",
        '▄' | '▃' | '▒' => "=",
        '▂' | '▁' => "_",
        '▓' => "%",
        '┤' | '└' => "+",
        '▲' => "^",
        '✕' => "!",
        '●' | '•' => "*",
        '○' => "o",
        '→' => "->",
        '←' => "<-",
        '…' => "...",
        '×' => "x",
        '≥' => ">=",
        '≤' => "<=",
        '≈' | '░' => "~",
        '≫' => ">>",
        '±' => "+-",
        '²' => "^2",
        '‘' | '’' => "'",
        '“' | '”' => "\"",
        '\u{a0}' => " ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{clean, clean_lines};
    use crate::Charset;

    #[test]
    fn nothing_that_drives_a_terminal_passes() {
        for (text, cleaned) in [
            ("a\x1b[31mb", "a\\u{1b}[31mb"),
            ("a\u{9b}2Jb\x07", "a\\u{9b}2Jb\\u{7}"),
            ("x\u{202e}yp.\u{2066}", "x\\u{202e}yp.\\u{2066}"),
            ("two\r\nlines\tand a tab", "two  lines    and a tab"),
            ("日本/学習.py", "日本/学習.py"),
        ] {
            assert_eq!(clean(text, Charset::Unicode), cleaned);
        }
    }

    #[test]
    fn ascii_output_is_ascii() {
        assert_eq!(clean("a → b … 日 \u{a0}×", Charset::Ascii), "a -> b ... \\u{65e5}  x");
    }

    #[test]
    fn files_keep_their_line_ends() {
        assert_eq!(clean_lines("-a\n+\x1bb\n"), "-a\n+\\u{1b}b");
    }
}
