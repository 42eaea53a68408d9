//! The findings as compilers show theirs: the line, the way that leads there, what to do.

use std::io::{self, Write};

use oomscope_model::{Finding, Fix, FixSafety, Held};

use super::concise::tone;
use super::place::Files;
use super::{CheckReport, CheckedFile, Shown, severity};
use crate::TextStyle;
use crate::layout::{Span, Tone, gap, width_of, write_line, write_wrapped};

/// Characters of a line that are looked at; what lies beyond is not shown.
const LONGEST_LINE: usize = 1_000;
/// Steps of a path that are shown.
const MOST_STEPS: usize = 12;

/// Writes each finding with its source line, its path and its fix.
pub fn render_text(
    report: &CheckReport,
    shown: Shown,
    style: &TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let files = Files::of(report);
    for (file, finding) in report.findings(shown) {
        write_finding(out, *style, &files, file, finding)?;
        writeln!(out)?;
    }
    Ok(())
}

fn write_finding(
    out: &mut dyn Write,
    style: TextStyle,
    files: &Files<'_>,
    file: &CheckedFile,
    finding: &Finding,
) -> io::Result<()> {
    let word = format!("{}[{}]", severity(finding.severity), finding.rule);
    let mut headline =
        vec![style.span(tone(finding.severity), &word), style.span(Tone::Strong, ": ")];
    headline.extend(style.prose(Tone::Strong, &finding.message));
    write_wrapped(out, style, &[], &headline)?;

    let spot = file.start_of(finding);
    let places = finding.path.iter().map(|step| step.place.line).chain([finding.place.line]);
    let numbers = places.max().unwrap_or(1).to_string().len();
    let function = finding.place.function.as_ref().map(|name| format!(" in {name}"));
    let title = [
        gap(numbers + 1),
        style.span(Tone::Heading, "--> "),
        style.span(Tone::Plain, &format!("{}:{spot}", file.path)),
        style.span(Tone::Faint, &function.unwrap_or_default()),
    ];
    write_line(out, style, &title)?;
    let gutter = [gap(numbers + 2), style.span(Tone::Heading, "│")];
    if let Some(line) = files.line(&file.path, finding.place.line) {
        write_line(out, style, &gutter)?;
        write_source(out, style, numbers, spot.line, line)?;
        write_caret(out, style, &gutter, finding, line)?;
    }
    write_path(out, style, &gutter, numbers, files, finding)?;
    write_line(out, style, &gutter)?;
    if let Some(held) = held(finding.held) {
        write_note(out, style, numbers, "held", held)?;
    }
    if let Some(fix) = &finding.fix {
        write_note(out, style, numbers, "help", &help(fix))?;
    }
    write_note(out, style, numbers, "more", &format!("`oomscope explain {}`", finding.name))
}

fn write_source(
    out: &mut dyn Write,
    style: TextStyle,
    numbers: usize,
    number: u32,
    line: &str,
) -> io::Result<()> {
    let gutter = style.span(Tone::Heading, &format!(" {number:>numbers$} │ "));
    let room = style.columns().saturating_sub(numbers + 4);
    let (code, ..) = style.span(Tone::Plain, start_of(line, LONGEST_LINE)).head(style, room);
    write_line(out, style, &[gutter, code])
}

fn write_caret(
    out: &mut dyn Write,
    style: TextStyle,
    gutter: &[Span],
    finding: &Finding,
    line: &str,
) -> io::Result<()> {
    let room = style.columns().saturating_sub(width_of(gutter) + 1);
    let width = |characters: usize| {
        style.span(Tone::Plain, start_of(line, characters.min(LONGEST_LINE))).width()
    };
    let first = (finding.column as usize).saturating_sub(1);
    let last = if finding.end.0 == finding.place.line {
        (finding.end.1 as usize).saturating_sub(1)
    } else {
        line.trim_end().chars().take(LONGEST_LINE).count()
    };
    let (from, to) = (width(first), width(last.max(first + 1)).min(room));
    if from >= to {
        return Ok(());
    }
    let mut marker = gutter.to_vec();
    marker.extend([gap(1 + from), style.span(tone(finding.severity), &"^".repeat(to - from))]);
    write_line(out, style, &marker)
}

/// The way from where the value comes to where it is kept.
fn write_path(
    out: &mut dyn Write,
    style: TextStyle,
    gutter: &[Span],
    numbers: usize,
    files: &Files<'_>,
    finding: &Finding,
) -> io::Result<()> {
    if finding.path.is_empty() {
        return Ok(());
    }
    write_line(out, style, gutter)?;
    for (index, step) in finding.path.iter().take(MOST_STEPS).enumerate() {
        let file = files.file(&step.place.file);
        let spot = file.map(|file| file.spot(step.place.line, 1));
        let mut place = match spot.map(|spot| (spot.cell, spot.line)) {
            Some((Some(cell), line)) => format!("cell {cell}, line {line}"),
            Some((None, line)) => format!("line {line}"),
            None => format!("line {}", step.place.line),
        };
        if step.place.file != finding.place.file {
            place = format!("{}, {place}", step.place.file);
        }
        let lead = [
            gap(numbers + 2),
            style.span(Tone::Heading, &format!("{}. ", index + 1)),
            style.span(Tone::Plain, &format!("{place}: ")),
        ];
        write_wrapped(out, style, &lead, &style.prose(Tone::Plain, &step.what))?;
        if let Some(line) = files.line(&step.place.file, step.place.line)
            && step.place.line != finding.place.line
        {
            let room = style.columns().saturating_sub(numbers + 5);
            let code = start_of(line.trim_start(), LONGEST_LINE);
            let (code, ..) = style.span(Tone::Faint, code).head(style, room);
            write_line(out, style, &[gap(numbers + 5), code])?;
        }
    }
    if finding.path.len() > MOST_STEPS {
        let rest = format!("and {} more steps", finding.path.len() - MOST_STEPS);
        write_line(out, style, &[gap(numbers + 5), style.span(Tone::Faint, &rest)])?;
    }
    Ok(())
}

fn write_note(
    out: &mut dyn Write,
    style: TextStyle,
    numbers: usize,
    label: &str,
    text: &str,
) -> io::Result<()> {
    let lead = [
        gap(numbers + 2),
        style.span(Tone::Heading, "= "),
        style.span(Tone::Strong, &format!("{label}: ")),
    ];
    write_wrapped(out, style, &lead, &style.prose(Tone::Plain, text))
}

/// What is held, in words.
pub(super) fn held(held: Held) -> Option<&'static str> {
    Some(match held {
        Held::Activations => "autograd graphs with all their activations",
        Held::Nodes => "graph nodes; backward has freed the activations",
        Held::Tensors => "tensors on the device",
        Held::Parameters => "gradients or copies of parameters",
        Held::Nothing => return None,
    })
}

/// What a fix does, and what applies it.
pub(super) fn help(fix: &Fix) -> String {
    match fix.safety {
        FixSafety::Safe => format!("{} (`--fix` does it)", fix.title),
        FixSafety::Unsafe => {
            format!("{} (`--fix --unsafe-fixes` does it; see what reads the value)", fix.title)
        }
        FixSafety::Suggest => format!("{} (by hand)", fix.title),
    }
}

/// At most so many characters of the start of a line.
fn start_of(line: &str, characters: usize) -> &str {
    let end = line.char_indices().nth(characters).map_or(line.len(), |(at, _)| at);
    line.get(..end).unwrap_or_default()
}
