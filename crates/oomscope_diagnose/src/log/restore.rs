//! A text as terminals, containers and web pages deliver it, to the lines that the program
//! printed: lines broken at a fixed column are one again, Docker's JSON lines are opened, blanks
//! that must not break are blanks. Line numbers stay those of the input.

use std::borrow::Cow;

/// How Docker opens a line of its log, and how others print the same.
const JSON_LINES: [&str; 2] = [r#"{"log":""#, r#"{"log": ""#];
/// Longer texts are files, not something copied off a screen: their lines are whole.
const LONGEST_PASTE: usize = 1 << 20;
/// Lines this far above and below tell whether a line was broken at the screen's edge.
const NEAR: usize = 8;
/// Nobody's screen is narrower or wider.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=250;
/// A paragraph wrapped between words ends its lines within so many columns of the edge.
const RAGGED: usize = 9;

/// A text as printed.
pub(crate) struct Restored<'a> {
    pub(crate) text: Cow<'a, str>,
    /// The input's line, 1-based, at which each line begins; `None` where they are the same.
    lines: Option<Vec<usize>>,
}

impl Restored<'_> {
    /// The line of the input for a line of the text, both 1-based.
    pub(crate) fn line(&self, line: usize) -> usize {
        let known = self.lines.as_ref();
        known.and_then(|lines| lines.get(line.checked_sub(1)?)).copied().unwrap_or(line)
    }
}

/// Restores `text`; borrows it where nothing was done to it.
pub(crate) fn restore(text: &str) -> Restored<'_> {
    let mut plain = Cow::Borrowed(text);
    if text.contains('\u{a0}') {
        plain = Cow::Owned(text.replace('\u{a0}', " "));
    }
    if JSON_LINES.iter().any(|opening| plain.contains(opening)) {
        let opened: Vec<Cow<'_, str>> = plain.split('\n').map(open_json).collect();
        plain = Cow::Owned(opened.join("\n"));
    }
    if plain.len() > LONGEST_PASTE {
        return Restored { text: plain, lines: None };
    }
    match unwrapped(&plain) {
        Some((whole, lines)) => Restored { text: Cow::Owned(whole), lines: Some(lines) },
        None => Restored { text: plain, lines: None },
    }
}

/// The line inside `{"log":"…\n","stream":"stderr",…}`.
fn open_json(line: &str) -> Cow<'_, str> {
    let Some(value) = JSON_LINES.iter().find_map(|opening| line.trim_start().strip_prefix(opening))
    else {
        return Cow::Borrowed(line);
    };
    let mut out = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => match letters.next() {
                Some('n') if letters.as_str().starts_with('"') => {}
                Some('n') => out.push_str("\\n"),
                Some('t') => out.push('\t'),
                Some('u') => {
                    let code = letters.as_str().get(..4).unwrap_or("");
                    let read = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
                    out.extend(read);
                    if read.is_some() {
                        letters = letters.as_str().get(4..).unwrap_or("").chars();
                    }
                }
                Some('r') | None => {}
                Some(other) => out.push(other),
            },
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// The text with lines joined that end exactly at the screen's edge, and where each began.
fn unwrapped(text: &str) -> Option<(String, Vec<usize>)> {
    let lines: Vec<&str> = text.split('\n').map(|line| line.trim_end_matches('\r')).collect();
    let widths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
    let mut out = String::new();
    let mut starts = Vec::new();
    let mut is_joined = false;
    for (at, line) in lines.iter().enumerate() {
        let above = at.checked_sub(1).and_then(|above| lines.get(above)).copied();
        if let Some(above) =
            above.filter(|above| is_broken(&lines, &widths, at.saturating_sub(1), above, line))
        {
            is_joined = true;
            out.push_str(line.get(shared_mark(above, line)..).unwrap_or(""));
            continue;
        }
        if at > 0 {
            out.push('\n');
        }
        starts.push(at + 1);
        out.push_str(line);
    }
    is_joined.then_some((out, starts))
}

/// Whether `line` goes on where `above`, the line at `at`, was broken.
fn is_broken(lines: &[&str], widths: &[usize], at: usize, above: &str, line: &str) -> bool {
    let width = widths.get(at).copied().unwrap_or(0);
    let mark = shared_mark(above, line);
    let rest = line.get(mark..).unwrap_or("");
    if !WIDTHS.contains(&width) || rest.is_empty() || is_own_line(rest) || !has_words(above) {
        return false;
    }
    let from = at.saturating_sub(NEAR);
    let (mut full, mut ragged, mut is_within) = (0, 0, false);
    for (near, other) in lines.iter().enumerate().take(at + NEAR + 1).skip(from) {
        match widths.get(near).copied().unwrap_or(0) {
            other if other > width => return false,
            other_width
                if other_width == width
                    && (near == at || has_words(other) && !is_alike(above, other)) =>
            {
                full += 1;
                is_within |= lines.get(near + 1).is_some_and(|next| breaks_within(other, next));
            }
            other_width if other_width == width => {}
            other if other + RAGGED > width => ragged += 1,
            _ => {}
        }
    }
    let is_screen = full >= 3 && full > ragged || full >= ragged && is_within;
    is_screen && !is_alike(above, line)
}

/// Whether no author would have broken a line here: inside a number, before a bracket.
fn breaks_within(above: &str, line: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    let is_letter = |c: char| c.is_ascii_alphabetic();
    let tail = above.rsplit(|c| !is_letter(c)).next().unwrap_or("");
    let head = line.split(|c| !is_letter(c)).next().unwrap_or("");
    let word = format!("{tail}{head}").to_ascii_lowercase();
    !tail.is_empty() && !head.is_empty() && BROKEN_WORDS.contains(&word.as_str())
        || line.starts_with([')', '.', ',', ';', ']'])
        || line.starts_with(is_digit) && above.ends_with(|c: char| c == '.' || is_digit(c))
}

/// Words of memory messages that no two other words make up.
const BROKEN_WORDS: [&str; 24] = [
    "memory",
    "allocate",
    "allocated",
    "already",
    "reserved",
    "unallocated",
    "capacity",
    "total",
    "process",
    "gpu",
    "gib",
    "mib",
    "pytorch",
    "including",
    "fragmentation",
    "documentation",
    "management",
    "utilization",
    "startup",
    "available",
    "requested",
    "tried",
    "larger",
    "error",
];

/// Bytes of a mark of quotation that both lines begin with.
fn shared_mark(above: &str, line: &str) -> usize {
    let mark = |text: &str| text.len() - text.trim_start_matches(['>', '#', ' ']).len();
    let (first, second) = (mark(above), mark(line));
    let is_quote = line.get(..second).is_some_and(|mark| mark.contains(['>', '#']));
    if is_quote && above.get(..first.min(second)) == line.get(..first.min(second)) {
        above.bytes().zip(line.bytes()).take(second).take_while(|(one, other)| one == other).count()
    } else {
        0
    }
}

/// What always opens a line of its own.
fn is_own_line(line: &str) -> bool {
    let words = line.trim_start();
    ["File \"", "Traceback (most", "[rank", "|", "+-", "```"]
        .iter()
        .any(|opening| words.starts_with(opening))
}

/// Rules and the frames of tables are drawn to the edge.
fn has_words(line: &str) -> bool {
    line.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && !line.trim_start().starts_with(['|', '+', '│', '┃'])
}

/// Rows of one table or log look alike at their start, whatever their figures.
fn is_alike(one: &str, other: &str) -> bool {
    const ENOUGH: usize = 5;
    let shape = |line: &str| {
        let mut shape: Vec<char> = Vec::new();
        for letter in line.trim_start_matches(['>', '#', ' ']).chars().take(64) {
            let letter = if letter.is_ascii_digit() { '0' } else { letter };
            if letter != '0' || shape.last() != Some(&'0') {
                shape.push(letter);
            }
            if shape.len() >= ENOUGH {
                break;
            }
        }
        shape
    };
    shape(one) == shape(other)
}

#[cfg(test)]
mod tests {
    use super::restore;

    #[test]
    fn lines_broken_at_the_edge_of_a_screen_are_whole_again() {
        let text = "RuntimeError: CUDA out of memory. Tried to allocate 7.5\n0 GiB. GPU 0 has a total capacity of 31.25 GiB of which\n 3.00 GiB is free.\nnext\n";
        let restored = restore(text);
        assert!(restored.text.contains("allocate 7.50 GiB. GPU 0 has a total"));
        assert!(restored.text.contains("of which 3.00 GiB is free.\nnext"));
        assert_eq!((restored.line(1), restored.line(2)), (1, 4));
    }

    #[test]
    fn rows_of_equal_width_stay_rows() {
        for text in [
            "step 10 loss 2.345 mem 10240 MB time 0.22 s/it\nstep 11 loss 2.341 mem 10241 MB time 0.21 s/it\nstep 12 loss 2.339 mem 10243 MB time 0.21 s/it\n",
            "========================================\nnode7 failed while it was loading words.\n========================================\nx\n",
            "a paragraph that its author wrapped between\nwords has lines that differ in their width,\nand ends them where the next word did not\nfit\n",
        ] {
            assert!(matches!(restore(text).text, std::borrow::Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn json_lines_of_a_container_are_opened() {
        let text = "{\"log\":\"[rank1]: KeyError: \\\"a\\\" \\u003c\\n\",\"stream\":\"stderr\"}\n";
        assert_eq!(restore(text).text, "[rank1]: KeyError: \"a\" <\n");
    }
}
