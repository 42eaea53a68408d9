//! Lines of toned text: cleaned on the way in, measured in columns, wrapped, and written.
//! A [`Span`] is the only way to the output, and only [`TextStyle::span`] makes one, so no
//! foreign character reaches the terminal unseen.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::clean::clean;
use crate::{Charset, Colour, TextStyle};

/// What a piece of text is, from which its colour follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Strong,
    Faint,
    Heading,
    Code,
    Bad,
    Doubt,
    Good,
    Removed,
    Bar,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Tone::Plain => Style::new(),
            Tone::Strong => Style::new().bold(),
            Tone::Faint => Style::new().dimmed(),
            Tone::Heading => colour(AnsiColor::BrightBlue).bold(),
            Tone::Code => colour(AnsiColor::Cyan),
            Tone::Bad => colour(AnsiColor::Red).bold(),
            Tone::Doubt => colour(AnsiColor::Yellow).bold(),
            Tone::Good => colour(AnsiColor::Green),
            Tone::Removed => colour(AnsiColor::Red),
            Tone::Bar => colour(AnsiColor::Magenta),
        }
    }
}

/// Text of one tone, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    text: String,
    tone: Tone,
}

impl Span {
    /// Columns that it takes.
    pub(crate) fn width(&self) -> usize {
        self.text.width()
    }

    /// At most `columns` of it, and the columns at which its text starts and ends.
    pub(crate) fn head(&self, style: TextStyle, columns: usize) -> (Span, usize, usize) {
        let ellipsis = style.span(self.tone, "…");
        let mut text = self.text.trim_end().to_owned();
        if text.width() > columns {
            let room = columns.saturating_sub(ellipsis.width());
            let mut used = 0;
            text = text
                .chars()
                .take_while(|character| {
                    used += character.width().unwrap_or(0);
                    used <= room
                })
                .collect();
            text.push_str(&ellipsis.text);
        }
        let end = text.width();
        let start = end.saturating_sub(text.trim_start().width());
        (Span { text, tone: self.tone }, start, end)
    }
}

/// `count` blanks.
pub(crate) fn gap(count: usize) -> Span {
    Span { text: " ".repeat(count), tone: Tone::Plain }
}

/// Columns that `spans` take side by side.
pub(crate) fn width_of(spans: &[Span]) -> usize {
    spans.iter().map(Span::width).sum()
}

impl TextStyle {
    /// `text` in `tone`, made harmless.
    pub(crate) fn span(self, tone: Tone, text: &str) -> Span {
        Span { text: clean(text, self.charset), tone }
    }

    /// A horizontal rule.
    pub(crate) fn rule(self, columns: usize) -> Span {
        self.span(Tone::Faint, &"─".repeat(columns))
    }

    /// `text` in `tone`, with what stands between backticks as code.
    pub(crate) fn prose(self, tone: Tone, text: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        for (index, part) in text.split('`').enumerate() {
            let is_code = index % 2 == 1;
            if part.is_empty() {
                continue;
            }
            spans.push(if is_code {
                self.span(Tone::Code, &format!("`{part}`"))
            } else {
                self.span(tone, part)
            });
        }
        spans
    }

    /// `text` in `tone`, shortened from the left at a separator, to at most `columns`.
    pub(crate) fn tail(self, tone: Tone, text: &str, columns: usize) -> Span {
        let whole = self.span(tone, text);
        if whole.width() <= columns {
            return whole;
        }
        let ellipsis = self.span(tone, "…");
        let room = columns.saturating_sub(ellipsis.width());
        let mut start = whole.text.len();
        let mut at_separator = None;
        let mut used = 0;
        for (index, character) in whole.text.char_indices().rev() {
            used += character.width().unwrap_or(0);
            if used > room {
                break;
            }
            start = index;
            if matches!(character, '/' | '\\') {
                at_separator = Some(index);
            }
        }
        let kept = whole.text.get(at_separator.unwrap_or(start)..).unwrap_or_default();
        Span { text: format!("{}{kept}", ellipsis.text), tone }
    }
}

/// Writes `spans` as one line, without blanks at its end.
pub(crate) fn write_line(out: &mut dyn Write, style: TextStyle, spans: &[Span]) -> io::Result<()> {
    let last = spans.iter().rposition(|span| !span.text.trim_end().is_empty());
    let shown = last.map_or(0, |last| last + 1);
    for (index, span) in spans.iter().take(shown).enumerate() {
        let text = if index + 1 == shown { span.text.trim_end() } else { span.text.as_str() };
        let look = span.tone.style();
        // Blanks carry no colour: an underlined gap would show.
        if style.colour == Colour::Always && look != Style::new() && !text.trim().is_empty() {
            write!(out, "{look}{text}{look:#}")?;
        } else {
            out.write_all(text.as_bytes())?;
        }
    }
    out.write_all(b"\n")
}

/// Writes `spans` wrapped at blanks: `first` leads the first line, and the others are indented
/// by as much.
pub(crate) fn write_wrapped(
    out: &mut dyn Write,
    style: TextStyle,
    first: &[Span],
    spans: &[Span],
) -> io::Result<()> {
    let indent = width_of(first);
    let room = style.columns().saturating_sub(indent).max(1);
    let mut lead = first.to_vec();
    for line in wrap(spans, room) {
        let mut whole = std::mem::replace(&mut lead, vec![gap(indent)]);
        whole.extend(line);
        write_line(out, style, &whole)?;
    }
    Ok(())
}

/// Breaks `spans` at blanks into lines of at most `room` columns; a longer word is cut.
pub(crate) fn wrap(spans: &[Span], room: usize) -> Vec<Vec<Span>> {
    let mut lines: Vec<Vec<Span>> = vec![Vec::new()];
    let mut used = 0;
    for word in words(spans) {
        let wide = width_of(&word);
        if used > 0 && used + 1 + wide > room {
            lines.push(Vec::new());
            used = 0;
        }
        let Some(line) = lines.last_mut() else { continue };
        if used > 0 {
            // A blank between words of one tone has that tone, so that they are one run of colour.
            let next = word.first().map(|span| span.tone);
            let tone = line.last().map(|span| span.tone).filter(|tone| Some(*tone) == next);
            push_text(line, " ", tone.unwrap_or(Tone::Plain));
            used += 1;
        }
        if wide <= room {
            for span in &word {
                push_text(line, &span.text, span.tone);
            }
            used += wide;
            continue;
        }
        for span in word {
            for character in span.text.chars() {
                let columns = character.width().unwrap_or(0);
                if used > 0 && used + columns > room {
                    lines.push(Vec::new());
                    used = 0;
                }
                used += columns;
                if let Some(line) = lines.last_mut() {
                    push_text(line, character.encode_utf8(&mut [0; 4]), span.tone);
                }
            }
        }
    }
    lines
}

/// Adds `text` to a line; text of the same tone stays one span.
fn push_text(line: &mut Vec<Span>, text: &str, tone: Tone) {
    match line.last_mut() {
        Some(last) if last.tone == tone => last.text.push_str(text),
        _ => line.push(Span { text: text.to_owned(), tone }),
    }
}

/// Words with their tones: a word may change its tone inside, as in "`loss`,".
fn words(spans: &[Span]) -> Vec<Vec<Span>> {
    let mut words: Vec<Vec<Span>> = Vec::new();
    let mut is_open = false;
    for span in spans {
        for (index, part) in span.text.split(' ').enumerate() {
            is_open &= index == 0;
            if part.is_empty() {
                continue;
            }
            let piece = Span { text: part.to_owned(), tone: span.tone };
            if !is_open && is_unit(part) && ends_with_digit(words.last()) {
                // A figure and its unit stay on one line.
                if let Some(word) = words.last_mut() {
                    word.push(Span { text: format!(" {part}"), tone: span.tone });
                }
                is_open = true;
                continue;
            }
            match words.last_mut() {
                Some(word) if is_open => word.push(piece),
                _ => words.push(vec![piece]),
            }
            is_open = true;
        }
        is_open &= !span.text.ends_with(' ');
    }
    words
}

fn is_unit(part: &str) -> bool {
    ["bytes", "KiB", "MiB", "GiB"].iter().any(|unit| part.starts_with(unit))
}

fn ends_with_digit(word: Option<&Vec<Span>>) -> bool {
    let last = word.and_then(|word| word.last());
    last.is_some_and(|span| span.text.ends_with(|end: char| end.is_ascii_digit()))
}

/// A bar of `share` of `columns`, in eighths of a block; in ASCII in whole characters.
pub(crate) fn bar(style: TextStyle, share: f64, columns: usize) -> Span {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let text = match style.charset {
        Charset::Unicode => {
            let eighths = (share * (columns * 8) as f64).round() as usize;
            // What holds anything at all shows.
            let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
            let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
            format!("{}{part}", "█".repeat(eighths / 8))
        }
        Charset::Ascii => match (share * columns as f64).round() as usize {
            0 if share > 0.0 => ".".to_owned(),
            whole => "#".repeat(whole),
        },
    };
    Span { text, tone: Tone::Bar }
}

#[cfg(test)]
mod tests {
    use super::{Tone, bar, width_of, wrap};
    use crate::{Charset, TextStyle};

    fn lines_of(text: &str, room: usize) -> Vec<String> {
        let style = TextStyle::default();
        wrap(&style.prose(Tone::Plain, text), room)
            .iter()
            .map(|line| line.iter().map(|span| span.text.as_str()).collect())
            .collect()
    }

    #[test]
    fn prose_breaks_at_blanks_and_long_words_are_cut() {
        assert_eq!(lines_of("a `b c`, ddd", 7), ["a `b", "c`, ddd"]);
        assert_eq!(lines_of("aaaaabbbbbcc d", 5), ["aaaaa", "bbbbb", "cc d"]);
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(lines_of("日本語 日本", 6), ["日本語", "日本"]);
    }

    #[test]
    fn a_long_path_keeps_its_end() {
        let style = TextStyle::default();
        assert_eq!(
            style.tail(Tone::Plain, "/a/b/c/models/gpt.py:41", 19).text,
            "…/models/gpt.py:41"
        );
        assert_eq!(style.tail(Tone::Plain, "averyveryverylongname.py:4", 10).text, "…name.py:4");
        let ascii = TextStyle { charset: Charset::Ascii, ..style };
        assert_eq!(ascii.tail(Tone::Plain, "/a/models/gpt.py:41", 15).text, ".../gpt.py:41");
    }

    #[test]
    fn bars_show_eighths_and_never_hide_a_holder() {
        let style = TextStyle::default();
        assert_eq!(bar(style, 0.5, 10).text, "█████");
        assert_eq!(bar(style, 0.0001, 10).text, "▏");
        assert_eq!(bar(style, f64::NAN, 10).text, "");
        assert_eq!(width_of(&[bar(style, 7.0, 10)]), 10);
    }
}
