//! Patterns over ASCII. What is looked for in logs is ASCII; Unicode classes would make each
//! automaton many times larger and the first line of every log slow.

use regex::Regex;

/// Compiles a pattern of this folder, restricted to ASCII.
pub(crate) fn compile(pattern: &str) -> Regex {
    Regex::new(&restrict(pattern)).expect("the patterns of this folder are valid")
}

/// What `.` stands for: ASCII but the line feed, and the punctuation and symbols that pastes
/// bring in. Any character at all would take four times the states, in every bounded repeat.
const ANY: &str = r"(?u-i:[\x00-\x09\x0b-\x7f\x{2000}-\x{2fff}])";

/// The pattern with `\d`, `\w`, `\s`, `\b`, `.` and the folding of case restricted to ASCII. Only
/// what excludes characters (`[^…]`, `\S`, `\D`, `\W`) still takes all of Unicode.
pub(crate) fn restrict(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() * 2);
    out.push_str("(?-u)");
    let mut chars = pattern.chars().peekable();
    let (mut is_in_class, mut is_negated) = (false, false);
    while let Some(c) = chars.next() {
        match c {
            '[' if !is_in_class => {
                is_in_class = true;
                is_negated = chars.peek() == Some(&'^');
                out.push_str(if is_negated { "(?u-i:[" } else { "[" });
            }
            ']' if is_in_class => {
                is_in_class = false;
                out.push_str(if is_negated { "])" } else { "]" });
            }
            '.' if !is_in_class => out.push_str(ANY),
            '\\' => {
                let Some(escaped) = chars.next() else { break };
                out.push_str(&class(escaped, is_in_class));
            }
            _ => out.push(c),
        }
    }
    out
}

fn class(escaped: char, is_in_class: bool) -> String {
    let members = match escaped.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "A-Za-z0-9_",
        's' => " \\t\\r\\n\\x0b\\x0c",
        _ => return format!("\\{escaped}"),
    };
    match (is_in_class, escaped.is_ascii_uppercase()) {
        (true, _) => members.to_owned(),
        (false, false) => format!("[{members}]"),
        (false, true) => format!("(?u-i:[^{members}])"),
    }
}

#[cfg(test)]
mod tests {
    use super::{compile, restrict};

    #[test]
    fn classes_become_ascii_inside_and_outside_brackets() {
        assert_eq!(restrict(r"\d+[\w.]\]\b"), r"(?-u)[0-9]+[A-Za-z0-9_.]\]\b");
        assert!(compile(r"^\[\w+\]$").is_match("[a1]"));
    }
}
