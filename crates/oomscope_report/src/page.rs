//! A page of the documentation (a cause, a rule) in the terminal: the part of Markdown that our
//! pages are written in. Anything else is shown as it stands.

use std::io::{self, Write};

use crate::TextStyle;
use crate::layout::{Span, Tone, gap, width_of, write_line, write_wrapped};

/// Writes the page `markdown`: headings, paragraphs, lists, quotes, tables and code.
pub fn render_page(markdown: &str, style: &TextStyle, out: &mut dyn Write) -> io::Result<()> {
    let style = *style;
    let mut paragraph = String::new();
    let mut lead: Vec<Span> = Vec::new();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        let indent = line.len().saturating_sub(text.len()).min(12);
        if let Some(fence) = fence_of(text) {
            flush(out, style, &mut lead, &mut paragraph)?;
            write_code(out, style, &text[fence.len()..], lines.by_ref(), fence)?;
        } else if text.is_empty() {
            flush(out, style, &mut lead, &mut paragraph)?;
            writeln!(out)?;
        } else if let Some(code) = indented_code(line, paragraph.is_empty() && lead.is_empty()) {
            write_line(out, style, &[gap(4), style.span(Tone::Code, code)])?;
        } else if let Some(title) = heading(text) {
            flush(out, style, &mut lead, &mut paragraph)?;
            write_wrapped(out, style, &[], &style.prose(Tone::Heading, title))?;
        } else if text.starts_with('|') {
            flush(out, style, &mut lead, &mut paragraph)?;
            write_row(out, style, text)?;
        } else if let Some((bullet, item)) = item(text) {
            flush(out, style, &mut lead, &mut paragraph)?;
            lead = vec![gap(indent + 2), style.span(Tone::Strong, bullet), gap(1)];
            item.clone_into(&mut paragraph);
        } else if let Some(quote) = text.strip_prefix('>') {
            flush(out, style, &mut lead, &mut paragraph)?;
            lead = vec![style.span(Tone::Faint, "  │ ")];
            quote.trim_start().clone_into(&mut paragraph);
        } else if paragraph.is_empty() {
            text.clone_into(&mut paragraph);
        } else {
            paragraph.push(' ');
            paragraph.push_str(text);
        }
    }
    flush(out, style, &mut lead, &mut paragraph)
}

/// Writes the open paragraph, if any, and forgets it.
fn flush(
    out: &mut dyn Write,
    style: TextStyle,
    lead: &mut Vec<Span>,
    paragraph: &mut String,
) -> io::Result<()> {
    let (lead, text) = (std::mem::take(lead), std::mem::take(paragraph));
    if text.is_empty() {
        return Ok(());
    }
    write_wrapped(out, style, &lead, &emphasised(style, &text))
}

/// Prose with `**strong**` parts.
fn emphasised(style: TextStyle, text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    for (index, part) in text.split("**").enumerate() {
        let tone = if index % 2 == 1 { Tone::Strong } else { Tone::Plain };
        spans.extend(style.prose(tone, part));
    }
    spans
}

fn write_code<'a>(
    out: &mut dyn Write,
    style: TextStyle,
    language: &str,
    lines: impl Iterator<Item = &'a str>,
    fence: &str,
) -> io::Result<()> {
    let is_diff = language.trim() == "diff";
    for line in lines {
        if line.trim_start().starts_with(fence) {
            break;
        }
        let tone = match line.chars().next() {
            Some('+') if is_diff => Tone::Good,
            Some('-') if is_diff => Tone::Removed,
            _ if line.trim_start().starts_with('#') => Tone::Faint,
            _ => Tone::Code,
        };
        write_line(out, style, &[gap(4), style.span(tone, line)])?;
    }
    Ok(())
}

/// A table's row; the row of dashes becomes a rule.
fn write_row(out: &mut dyn Write, style: TextStyle, row: &str) -> io::Result<()> {
    if row.chars().all(|one| matches!(one, '|' | '-' | ':' | ' ')) {
        return write_line(out, style, &[gap(2), style.rule(style.columns() - 2)]);
    }
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let Some((first, rest)) = cells.split_first() else { return Ok(()) };
    let mut lead = vec![gap(2)];
    lead.extend(style.prose(Tone::Strong, first));
    let width = width_of(&lead);
    let mut spans = emphasised(style, &rest.join("  "));
    if width > style.columns() / 3 {
        spans.splice(0..0, lead.drain(1..).chain([gap(1)]));
    } else {
        lead.push(gap((style.columns() / 3).saturating_sub(width)));
    }
    write_wrapped(out, style, &lead, &spans)
}

/// A line of a code block that is indented by four, where no paragraph or item goes on.
fn indented_code(line: &str, starts_afresh: bool) -> Option<&str> {
    let code = line.strip_prefix("    ")?;
    (starts_afresh && item(code.trim_start()).is_none()).then_some(code)
}

fn fence_of(text: &str) -> Option<&str> {
    ["```", "~~~"].into_iter().find(|fence| text.starts_with(fence))
}

fn heading(text: &str) -> Option<&str> {
    let title = text.trim_start_matches('#');
    let level = text.len() - title.len();
    ((1..=6).contains(&level) && title.starts_with(' ')).then(|| title.trim())
}

/// The bullet or number of a list's item, and its text.
fn item(text: &str) -> Option<(&str, &str)> {
    if let Some(item) = text.strip_prefix("- ").or_else(|| text.strip_prefix("* ")) {
        return Some(("•", item.trim_start()));
    }
    let digits = text.len() - text.trim_start_matches(|one: char| one.is_ascii_digit()).len();
    let (number, item) = text.split_once(' ')?;
    (digits > 0 && digits < 4 && number.len() == digits + 1 && number.ends_with('.'))
        .then(|| (number, item.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::render_page;
    use crate::TextStyle;

    #[test]
    fn indented_code_is_not_run_together() {
        let page = "# kv\n\nHow much:\n\n    a = 1\n        × 2\n\nNext, a list:\n\n- one\n";
        let mut out = Vec::new();
        render_page(page, &TextStyle::default(), &mut out).expect("memory takes all");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("\n    a = 1\n        × 2\n"), "{text}");
    }
}
