//! Patterns over ASCII. What is looked for in logs is ASCII; Unicode classes would make each
//! automaton many times larger and the first line of every log slow.

use regex::Regex;

/// Compiles a pattern of this folder, its `\d`, `\w`, `\s` and `\b` restricted to ASCII.
pub(crate) fn compile(pattern: &str) -> Regex {
    Regex::new(&restrict(pattern)).expect("the patterns of this folder are valid")
}

/// The pattern with its classes restricted to ASCII.
pub(crate) fn restrict(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut chars = pattern.chars();
    let mut is_in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '[' if !is_in_class => is_in_class = true,
            ']' if is_in_class => is_in_class = false,
            '\\' => {
                let Some(escaped) = chars.next() else { break };
                let class = match escaped {
                    'd' => "0-9",
                    'w' => "A-Za-z0-9_",
                    's' => " \\t\\r\\n\\x0b\\x0c",
                    'b' if !is_in_class => {
                        out.push_str(r"(?-u:\b)");
                        continue;
                    }
                    _ => {
                        out.push('\\');
                        out.push(escaped);
                        continue;
                    }
                };
                if is_in_class {
                    out.push_str(class);
                } else {
                    out.push('[');
                    out.push_str(class);
                    out.push(']');
                }
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{compile, restrict};

    #[test]
    fn classes_become_ascii_inside_and_outside_brackets() {
        assert_eq!(restrict(r"\d+[\w.]\]\b"), r"[0-9]+[A-Za-z0-9_.]\](?-u:\b)");
        assert!(compile(r"^\[\w+\]$").is_match("[a1]"));
    }
}
