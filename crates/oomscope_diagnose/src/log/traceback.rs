//! Python tracebacks: the frames, the exception, and where both stand. Plain, chained, in
//! exception groups, in notebooks, with the lines of other ranks in between.

use oomscope_model::Frame;

use super::block;
use super::clean::clean;
use super::figures::patterns;
use super::lines::{Span, line_after, line_before};
use super::prefix::strip;

patterns! {
    // Ray opens a remote traceback with the task instead.
    HEADER = r"(?i)Traceback \(most recent call last\)|\bray::\S+ \(pid=";
    FRAME = r#"^\s*File "?([^",]+?)"?, line (\d{1,9})(?:, in (.+))?$"#;
    LOOSE = r"^\s*([\w./\\-]+\.py),? line (\d{1,9}),? in ([\w.<>]+)";
    NOTEBOOK = r"^(?:File )?(\S+\.py|Cell In ?\[\d+\]|<ipython-input-[^>]+>)(?::(\d{1,9})|, line (\d{1,9}))?,? in (.+?)(?:\(.*)?$";
    CELL = r"^(Cell In ?\[\d+\]|Input In ?\[\d+\]), line (\d{1,9})$";
    ARROW = r"^-+> ?(\d{1,9})\b";
    EXCEPTION = r"^((?:[A-Za-z_][\w]*\.)*[A-Za-z_]*(?:Error|Exception|Exit|Interrupt|OutOfResources|Killed|Warning|Timeout|Abort|Stop\w*|Fault|Failure)\w*)(?:: ?(.*))?$";
    ANY_CLASS = r"^((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?:: (.*))?$";
    COMPOUND = r"\.|[a-z][A-Z]";
    CARETS = r"^[\s^~]+$";
}

/// One frame with its source line, where the traceback shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodeFrame {
    pub(crate) frame: Frame,
    pub(crate) code: String,
}

/// A traceback with its exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traceback {
    /// Outermost first.
    pub(crate) frames: Vec<CodeFrame>,
    /// Type as printed; empty when the text ends before it.
    pub(crate) exception: String,
    /// Message, unwrapped.
    pub(crate) message: String,
    /// The exception's line, or the last line read.
    pub(crate) span: Span,
    /// The last line of the message.
    pub(crate) last: Span,
    /// Rank of its lines.
    pub(crate) rank: Option<u32>,
}

/// A traceback is read this far, lines of other ranks included.
const MOST_LINES: usize = 3000;
/// No stack that Python prints is deeper; a longer one is cut in the middle by Python itself.
const MOST_FRAMES: usize = 1000;

/// Whether a line opens a traceback.
pub(crate) fn is_header(line: &str) -> bool {
    HEADER.is_match(line)
}

/// Splits `Type: message`.
pub(crate) fn exception_of(line: &str) -> Option<(&str, &str)> {
    let found = EXCEPTION.captures(line.trim())?;
    Some((found.get(1)?.as_str(), found.get(2).map_or("", |message| message.as_str())))
}

/// Reads the traceback whose header stands at `header`. `taken` gets the start of every line
/// that belongs to it.
pub(crate) fn read(text: &str, header: Span, taken: &mut Vec<usize>) -> Option<Traceback> {
    let head_line = clean(header.of(text));
    let head = strip(&head_line);
    let head_indent = indent(head.text);
    let mut traceback = Traceback {
        frames: Vec::new(),
        exception: String::new(),
        message: String::new(),
        span: header,
        last: header,
        rank: head.rank,
    };
    let mut is_flat = false;
    let mut at = header;
    for _ in 0..MOST_LINES {
        let Some(next) = line_after(text, at) else { break };
        at = next;
        let line = clean(next.of(text));
        let stripped = strip(&line);
        let is_foreign =
            stripped.rank != head.rank || head.source.is_some() && stripped.source != head.source;
        if is_foreign {
            continue;
        }
        let words = stripped.text;
        if words.trim().is_empty() {
            continue;
        }
        if is_header(words) {
            break;
        }
        if let Some(frame) = frame_of(words.trim_end()) {
            is_flat |= indent(words) <= head_indent;
            if traceback.frames.len() < MOST_FRAMES {
                traceback.frames.push(CodeFrame { frame, code: String::new() });
            }
        } else if CARETS.is_match(words) {
            // Marks below a source line say nothing more.
        } else if indent(words) <= head_indent
            && let Some((class, message)) = exception_line(words.trim(), is_flat)
        {
            class.clone_into(&mut traceback.exception);
            traceback.span = next;
            let joined = block::join(text, next, message, stripped.source, 0);
            taken_lines(text, next, joined.last, taken);
            traceback.message = joined.message;
            traceback.last = joined.last;
            return Some(traceback);
        } else if let Some(found) = ARROW.captures(words.trim_start()) {
            if let (Some(last), Some(line)) = (traceback.frames.last_mut(), found.get(1)) {
                last.frame.line = line.as_str().parse().unwrap_or(last.frame.line);
            }
        } else if let Some(last) = traceback.frames.last_mut()
            && last.code.is_empty()
        {
            last.code = words.trim().chars().take(400).collect();
        }
        taken.push(next.start);
        traceback.last = next;
    }
    (!traceback.frames.is_empty()).then_some(traceback)
}

/// Marks every line from `first` to `last`.
pub(crate) fn taken_lines(text: &str, first: Span, last: Span, taken: &mut Vec<usize>) {
    let mut at = first;
    taken.push(at.start);
    while at.start < last.start {
        let Some(next) = line_after(text, at) else { break };
        taken.push(next.start);
        at = next;
    }
}

fn exception_line(line: &str, is_flat: bool) -> Option<(&str, &str)> {
    if let Some(found) = exception_of(line) {
        return Some(found);
    }
    if is_flat {
        return None;
    }
    let found = ANY_CLASS.captures(line)?;
    if found.get(2).is_none() && !COMPOUND.is_match(line) {
        return None; // a word of the page that the traceback was copied from
    }
    Some((found.get(1)?.as_str(), found.get(2).map_or("", |message| message.as_str())))
}

/// The frames right above an error whose header was cut off, outermost first.
pub(crate) fn frames_above(text: &str, error: Span) -> Vec<CodeFrame> {
    const MOST_LINES: usize = 200;
    const MOST_OTHER: usize = 3;
    let mut frames = Vec::new();
    let mut code = String::new();
    let mut others = 0;
    let mut at = error;
    for _ in 0..MOST_LINES {
        let Some(before) = line_before(text, at) else { break };
        at = before;
        let line = clean(before.of(text));
        let words = strip(&line).text;
        if let Some(frame) = frame_of(words.trim_end()) {
            frames.push(CodeFrame { frame, code: std::mem::take(&mut code) });
            others = 0;
        } else if CARETS.is_match(words) {
            // Also matches a blank line.
        } else {
            if exception_of(words).is_some() || is_header(words) {
                break;
            }
            others += 1;
            if others > MOST_OTHER {
                break;
            }
            code = words.trim().chars().take(400).collect();
        }
    }
    frames.reverse();
    frames
}

/// A frame line of a traceback in any of its spellings.
pub(crate) fn frame_of(line: &str) -> Option<Frame> {
    let make = |file: &str, number: Option<&str>, function: Option<&str>| Frame {
        file: file.to_owned(),
        line: number.and_then(|number| number.parse().ok()).unwrap_or(0),
        function: function.unwrap_or("").trim().to_owned(),
    };
    if !line.contains("line") && !line.contains(" in ") {
        return None;
    }
    let group =
        |found: &regex::Captures<'_>, at: usize| found.get(at).map(|text| text.as_str().to_owned());
    if let Some(found) = FRAME.captures(line).or_else(|| LOOSE.captures(line)) {
        let file = group(&found, 1)?;
        return Some(make(&file, group(&found, 2).as_deref(), group(&found, 3).as_deref()));
    }
    if let Some(found) = CELL.captures(line.trim()) {
        return Some(make(&group(&found, 1)?, group(&found, 2).as_deref(), Some("<module>")));
    }
    let found = NOTEBOOK.captures(line)?;
    let file = group(&found, 1)?;
    let number = group(&found, 2).or_else(|| group(&found, 3));
    Some(make(&file, number.as_deref(), group(&found, 4).as_deref()))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::{frame_of, frames_above, read};
    use crate::log::lines::line_at;

    const PLAIN: &str = "Traceback (most recent call last):\n  File \"/w/a.py\", line 9, in <module>\n    main()\n    ~~~~^^\n  File \"/w/a.py\", line 5, in main\n    y = net(x)\n        ^^^^^^\nRuntimeError: CUDA out of memory. Tried to allocate 1.00 GiB.\nnext\n";

    #[test]
    fn frames_come_outermost_first_with_their_source() {
        let found = read(PLAIN, line_at(PLAIN, 0, 0), &mut Vec::new()).unwrap();
        assert_eq!(found.exception, "RuntimeError");
        assert_eq!(found.message, "CUDA out of memory. Tried to allocate 1.00 GiB.");
        let names: Vec<_> =
            found.frames.iter().map(|f| (f.frame.function.as_str(), f.code.as_str())).collect();
        assert_eq!(names, [("<module>", "main()"), ("main", "y = net(x)")]);
    }

    #[test]
    fn lines_of_another_rank_do_not_mix_in() {
        let text = "[rank0]: Traceback (most recent call last):\n[rank1]: Traceback (most recent call last):\n[rank0]:   File \"a.py\", line 1, in f\n[rank1]:   File \"b.py\", line 2, in g\n[rank1]: ValueError: b\n[rank0]: KeyError: a\n";
        let found = read(text, line_at(text, 0, 0), &mut Vec::new()).unwrap();
        assert_eq!(
            (found.exception.as_str(), found.rank, found.frames.len()),
            ("KeyError", Some(0), 1)
        );
    }

    #[test]
    fn a_traceback_that_lost_its_indentation_is_read() {
        let text = "Traceback (most recent call last):\nFile \"a.py\", line 1, in f\nx = g(y)\nFile \"a.py\", line 2, in g\nreturn h\nValueError: no\n";
        let found = read(text, line_at(text, 0, 0), &mut Vec::new()).unwrap();
        assert_eq!((found.exception.as_str(), found.frames.len()), ("ValueError", 2));
    }

    #[test]
    fn frames_above_an_error_are_found_without_a_header() {
        let text = "  File \"a.py\", line 1, in f\n    x = g(y)\n  File \"b.py\", line 2, in g\n    return h(y)\nRuntimeError: x\n";
        let frames = frames_above(text, line_at(text, text.len() - 3, 0));
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1].code, "return h(y)");
    }

    #[test]
    fn every_spelling_of_a_frame_is_known() {
        for (line, file, number, function) in [
            ("  File \"/a/b.py\", line 12, in forward", "/a/b.py", 12, "forward"),
            ("File /a/b.py:12, in Net.forward(self, x)", "/a/b.py", 12, "Net.forward"),
            ("Cell In[3], line 5, in f(x)", "Cell In[3]", 5, "f"),
            ("  model/gsdpt.py line 109, in _forward_impl", "model/gsdpt.py", 109, "_forward_impl"),
        ] {
            let frame = frame_of(line).expect(line);
            assert_eq!(
                (frame.file.as_str(), frame.line, frame.function.as_str()),
                (file, number, function)
            );
        }
        assert_eq!(frame_of("a line of prose in a log"), None);
    }
}
