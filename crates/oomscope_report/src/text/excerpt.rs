//! Source around a line that matters, as compilers show it.

use std::io::{self, Write};

use oomscope_model::{Diagnosis, Place};

use crate::TextStyle;
use crate::content::mark;
use crate::layout::{Tone, gap, width_of, wrap, write_line};

/// Writes the place and its lines, the line itself marked.
pub(super) fn write_excerpt(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
    (place, lines): &(Place, Vec<(u32, String)>),
) -> io::Result<()> {
    let numbers = lines.iter().map(|(number, _)| number.to_string().len()).max().unwrap_or(1);
    let gutter = [gap(numbers + 2), style.span(Tone::Heading, "│")];
    let room = style.columns().saturating_sub(width_of(&gutter) + 2);
    write_title(out, style, numbers + 1, place)?;
    write_line(out, style, &gutter)?;
    for (number, text) in lines {
        let is_marked = *number == place.line;
        let code = style.span(if is_marked { Tone::Strong } else { Tone::Plain }, text);
        let (code, code_start, code_end) = code.head(style, room);
        let number = style.span(Tone::Heading, &format!(" {number:>numbers$} │ "));
        write_line(out, style, &[number, code])?;
        if !is_marked || code_end <= code_start {
            continue;
        }
        let carets = "^".repeat(code_end - code_start);
        let mut marker = gutter.to_vec();
        marker.push(gap(1 + code_start));
        marker.push(style.span(Tone::Bad, &carets));
        let said = mark(diagnosis, place).unwrap_or_default();
        let label = style.span(Tone::Bad, &said);
        if code_end + 1 + label.width() <= room {
            marker.extend([gap(1), label]);
            write_line(out, style, &marker)?;
            continue;
        }
        write_line(out, style, &marker)?;
        for line in wrap(&[label], room) {
            let start = code_start.min(room.saturating_sub(width_of(&line)));
            let mut below = gutter.to_vec();
            below.push(gap(1 + start));
            below.extend(line);
            write_line(out, style, &below)?;
        }
    }
    write_line(out, style, &gutter)
}

/// Writes the line above an excerpt; its path is whole, so that a terminal can open it.
pub(super) fn write_title(
    out: &mut dyn Write,
    style: TextStyle,
    indent: usize,
    place: &Place,
) -> io::Result<()> {
    let function = place.function.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
    let title = [
        gap(indent),
        style.span(Tone::Heading, "--> "),
        style.span(Tone::Plain, &place.to_string()),
        style.span(Tone::Faint, &function),
    ];
    writeln!(out)?;
    write_line(out, style, &title)
}
