//! Walking the lines around a byte offset without splitting the whole text. A carriage return
//! ends a line too (progress bars redraw themselves with it) but does not advance the number.

/// No line is looked at beyond this: longer ones are taken in pieces.
pub(crate) const LONGEST_LINE: usize = 16 << 10;

/// A line, or a piece of a very long one: byte range without its end mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// The line's text.
    pub(crate) fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or("")
    }
}

fn is_end_mark(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1; // a char is at most four bytes, and 0 is a boundary
    }
    at
}

/// The line that holds `offset`, starting no earlier than `floor`.
pub(crate) fn line_at(text: &str, offset: usize, floor: usize) -> Span {
    let offset = floor_boundary(text, offset);
    let earliest = floor_boundary(text, offset.saturating_sub(LONGEST_LINE)).max(floor.min(offset));
    let before = text.as_bytes().get(earliest..offset).unwrap_or(&[]);
    let start =
        before.iter().rposition(|byte| is_end_mark(*byte)).map_or(earliest, |at| earliest + at + 1);
    Span { start, end: end_of_line(text, offset) }
}

/// The next line after `span`, `None` at the end of the text.
pub(crate) fn line_after(text: &str, span: Span) -> Option<Span> {
    let bytes = text.as_bytes();
    let mut start = span.end;
    match (bytes.get(start), bytes.get(start.saturating_add(1))) {
        (Some(b'\r'), Some(b'\n')) => start += 2,
        (Some(b'\r' | b'\n'), _) => start += 1,
        (Some(_), _) => {}
        (None, _) => return None,
    }
    (start < bytes.len()).then(|| Span { start, end: end_of_line(text, start) })
}

/// The line before `span`, `None` at the start of the text.
pub(crate) fn line_before(text: &str, span: Span) -> Option<Span> {
    let bytes = text.as_bytes();
    let mut end = span.start;
    let last = |end: usize| end.checked_sub(1).and_then(|at| bytes.get(at)).copied();
    match last(end) {
        Some(b'\n') => {
            end -= 1;
            if last(end) == Some(b'\r') {
                end -= 1;
            }
        }
        Some(b'\r') => end -= 1,
        Some(_) => {}
        None => return None,
    }
    let earliest = floor_boundary(text, end.saturating_sub(LONGEST_LINE));
    let before = bytes.get(earliest..end).unwrap_or(&[]);
    let start =
        before.iter().rposition(|byte| is_end_mark(*byte)).map_or(earliest, |at| earliest + at + 1);
    Some(Span { start, end })
}

fn end_of_line(text: &str, from: usize) -> usize {
    let latest = floor_boundary(text, from.saturating_add(LONGEST_LINE));
    let after = text.as_bytes().get(from..latest).unwrap_or(&[]);
    after.iter().position(|byte| is_end_mark(*byte)).map_or(latest, |at| from + at)
}

/// Number of line feeds in a byte range, the difference of two line numbers.
#[allow(clippy::naive_bytecount)] // not worth a dependency: the compiler vectorises it
pub(crate) fn feeds(text: &str, from: usize, to: usize) -> usize {
    let range = text.as_bytes().get(from..to).unwrap_or(&[]);
    range.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::{feeds, line_after, line_at, line_before};

    #[test]
    fn carriage_returns_and_line_feeds_end_lines() {
        let text = "one\r\ntwo 10%\rtwo 20%\nthree";
        let first = line_at(text, 1, 0);
        assert_eq!(first.of(text), "one");
        let second = line_after(text, first).unwrap();
        assert_eq!(second.of(text), "two 10%");
        let redrawn = line_after(text, second).unwrap();
        assert_eq!(redrawn.of(text), "two 20%");
        assert_eq!(feeds(text, 0, redrawn.start), 1);
        let third = line_after(text, redrawn).unwrap();
        assert_eq!(third.of(text), "three");
        assert_eq!(line_after(text, third), None);
        assert_eq!(line_before(text, third), Some(redrawn));
        assert_eq!(line_before(text, second), Some(first));
        assert_eq!(line_before(text, first), None);
    }
}
