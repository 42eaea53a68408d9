//! A guard before the parser, which is recursive: refuses text whose nesting is absurd.
//!
//! One pass over the bytes. It may count too much (brackets inside odd strings), never too
//! little for text that would reach the parser's or the tree's recursion.

/// Brackets inside brackets, or blocks inside blocks.
const DEEPEST_NESTING: usize = 96;
/// Operators of one statement between two commas: each is one level of a left-leaning tree.
const LONGEST_CHAIN: usize = 600;
/// Prefix operators and right-leaning keywords of one statement between two commas.
const LONGEST_PREFIX: usize = 64;

/// `return` and `lambda`.
const LONGEST_KEYWORD: usize = 6;

/// What a byte may begin.
#[derive(Clone, Copy)]
enum Class {
    /// White space and what has no say.
    Dull,
    Newline,
    Comment,
    Quote,
    Word,
    Digit,
    Mark,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Dull; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'\n' => Class::Newline,
            b'#' => Class::Comment,
            b'"' | b'\'' => Class::Quote,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Class::Word,
            b'0'..=b'9' => Class::Digit,
            b'(' | b'[' | b'{' | b')' | b']' | b'}' | b',' | b';' | b'+' | b'-' | b'~' | b'*'
            | b'/' | b'%' | b'@' | b'&' | b'|' | b'^' | b'<' | b'>' | b'.' | b':' | b'=' => {
                Class::Mark
            }
            _ => Class::Dull,
        };
        byte += 1;
    }
    classes
};

const CONTINUES_WORD: [bool; 256] = {
    let mut continues = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        continues[byte] = matches!(CLASSES[byte], Class::Word | Class::Digit);
        byte += 1;
    }
    continues
};

/// Too short to hold what is absurd, where few of its bytes are operators.
const SHORT_LINE: usize = 120;

/// The length of the line, its end included, where the text starts with a short one that is a
/// whole statement without strings, comments and absurdities.
fn flat_line(text: &[u8]) -> Option<usize> {
    let text = text.get(..SHORT_LINE).unwrap_or(text);
    let line = text.get(..memchr::memchr(b'\n', text)?)?;
    // Counts of bytes, not a search: compilers make vector code of it.
    let (mut opens, mut closes, mut operators, mut odd) = (0u8, 0u8, 0u8, 0u8);
    for byte in line {
        opens += u8::from(matches!(byte, b'(' | b'[' | b'{'));
        closes += u8::from(matches!(byte, b')' | b']' | b'}'));
        operators +=
            u8::from(matches!(byte, b'*'..=b'/' | b'%' | b'&' | b'<'..=b'@' | b'^' | b'~'));
        odd += u8::from(matches!(byte, b'"' | b'\'' | b'#' | b'\\'));
    }
    let is_flat = odd == 0 && opens == closes && operators < 32;
    is_flat.then_some(line.len() + 1)
}

/// The 1-based line at which the nesting becomes absurd, if it does.
pub(crate) fn absurd_nesting(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut scan = Scan::default();
    let mut at = 0;
    let mut line_start = true;
    while let Some(&byte) = bytes.get(at) {
        if line_start {
            line_start = false;
            if scan.brackets == 0 {
                let rest = bytes.get(at..).unwrap_or_default();
                let indent = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
                let blank = matches!(rest.get(indent), None | Some(b'\n' | b'\r' | b'#'));
                if !blank {
                    scan.statement(indent);
                    if let Some(length) = flat_line(rest.get(indent..).unwrap_or_default()) {
                        at += indent + length;
                        line_start = true;
                        if scan.is_absurd() {
                            break;
                        }
                        continue;
                    }
                }
                at += indent;
                continue;
            }
        }
        match CLASSES[usize::from(byte)] {
            Class::Dull => {
                at += 1;
                continue;
            }
            Class::Newline => {
                line_start = true;
                at += 1;
            }
            Class::Comment => {
                let rest = bytes.get(at..).unwrap_or_default();
                at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                continue;
            }
            Class::Quote => {
                let (end, braces) = skip_string(bytes, at);
                scan.prefixes += braces / 2;
                scan.chain += 1;
                at = end;
            }
            Class::Word => {
                let rest = bytes.get(at..).unwrap_or_default();
                let end = rest.iter().position(|b| !CONTINUES_WORD[usize::from(*b)]);
                let length = end.unwrap_or(rest.len());
                if length <= LONGEST_KEYWORD {
                    scan.word(rest.get(..length).unwrap_or_default());
                } else {
                    scan.operand_before = true;
                }
                at += length.max(1);
                continue;
            }
            Class::Digit | Class::Mark => {
                scan.punctuation(byte);
                at += 1;
            }
        }
        if scan.is_absurd() {
            break;
        }
    }
    let before = bytes.get(..at).unwrap_or_default();
    scan.is_absurd().then(|| 1 + memchr::memchr_iter(b'\n', before).count())
}

#[derive(Default)]
struct Scan {
    brackets: usize,
    indents: Vec<usize>,
    chain: usize,
    prefixes: usize,
    operand_before: bool,
}

impl Scan {
    fn statement(&mut self, indent: usize) {
        while self.indents.last().is_some_and(|top| *top >= indent) {
            self.indents.pop();
        }
        self.indents.push(indent);
        (self.chain, self.prefixes, self.operand_before) = (0, 0, false);
    }

    fn word(&mut self, word: &[u8]) {
        match word {
            b"not" | b"lambda" | b"await" | b"else" | b"yield" => {
                self.prefixes += 1;
                self.operand_before = false;
            }
            b"and" | b"or" | b"in" | b"is" | b"if" | b"for" | b"return" => {
                self.operand_before = false;
            }
            _ => self.operand_before = true,
        }
    }

    fn punctuation(&mut self, byte: u8) {
        match byte {
            b'(' | b'[' | b'{' => {
                self.brackets += 1;
                self.chain += 1;
                self.operand_before = false;
            }
            b')' | b']' | b'}' => {
                self.brackets = self.brackets.saturating_sub(1);
                self.operand_before = true;
            }
            b',' | b';' => (self.chain, self.prefixes, self.operand_before) = (0, 0, false),
            b'+' | b'-' | b'~' | b'*' | b'/' | b'%' | b'@' | b'&' | b'|' | b'^' | b'<' | b'>'
            | b'.' => {
                self.chain += 1;
                if !self.operand_before && byte != b'.' {
                    self.prefixes += 1;
                }
                if byte != b'.' {
                    self.operand_before = false;
                }
            }
            b'0'..=b'9' => self.operand_before = true,
            b':' | b'=' => self.operand_before = false,
            _ => {}
        }
    }

    fn is_absurd(&self) -> bool {
        self.brackets > DEEPEST_NESTING
            || self.indents.len() > DEEPEST_NESTING
            || self.chain > LONGEST_CHAIN
            || self.prefixes > LONGEST_PREFIX
    }
}

/// The end of the string literal that starts at `from`, and the quotes that follow a brace in it
/// (nested f-strings).
fn skip_string(bytes: &[u8], from: usize) -> (usize, usize) {
    let quote = bytes.get(from).copied().unwrap_or(b'"');
    let triple = bytes.get(from..from + 3) == Some(&[quote; 3]);
    let (mut at, mut braces) = (from + if triple { 3 } else { 1 }, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'\n' if !triple => return (at, braces),
            b'{' => {
                let next = bytes.get(at + 1);
                braces +=
                    usize::from(matches!(next, Some(b'f' | b'"' | b'\'' | b'{' | b'(' | b'[')));
                at += 1;
            }
            b if b == quote && !triple => return (at + 1, braces),
            b if b == quote && bytes.get(at..at + 3) == Some(&[quote; 3]) => {
                return (at + 3, braces);
            }
            _ if triple => {
                let rest = bytes.get(at + 1..).unwrap_or_default();
                at += 1 + memchr::memchr3(b'\\', b'{', quote, rest).unwrap_or(rest.len());
            }
            _ => at += 1,
        }
    }
    (bytes.len(), braces)
}

#[cfg(test)]
mod tests {
    use super::absurd_nesting;

    #[test]
    fn ordinary_code_passes() {
        assert_eq!(absurd_nesting("def f(x):\n    return [g(y) for y in {1: (2, 3)}]\n"), None);
        assert_eq!(absurd_nesting(&"x = (1)\n".repeat(5000)), None);
        assert_eq!(absurd_nesting(&format!("x = [{}]\n", "1, ".repeat(5000))), None);
        assert_eq!(absurd_nesting(&format!("x = [{}]\n", "'a b', -1, ".repeat(5000))), None);
    }

    #[test]
    fn every_kind_of_depth_is_refused() {
        let indented: String =
            (0..300).fold(String::new(), |text, i| text + &" ".repeat(i) + "if x:\n");
        for text in [
            "(".repeat(5000),
            indented,
            format!("x = {}1", "- ".repeat(5000)),
            format!("x = {}1", "not ".repeat(5000)),
            format!("x = {}a\n", "not ".repeat(5000)),
            format!("x = a{}", " + a".repeat(50_000)),
            format!("x = a{}", ".a".repeat(50_000)),
            format!("x = a{}", "()".repeat(50_000)),
            format!("x = {}1", "lambda: ".repeat(5000)),
            format!("x = {}1", "a if b else ".repeat(5000)),
            format!("x = {}", "f\"{".repeat(5000)),
        ] {
            assert!(
                absurd_nesting(&text).is_some(),
                "{}",
                text.chars().take(20).collect::<String>()
            );
        }
    }
}
