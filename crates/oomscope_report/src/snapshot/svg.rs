//! Pictures that stand alone: no script, no font or image from elsewhere, light and dark by the
//! reader's preference. Every text of the input is cleaned and escaped on its way in.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::{Entry, View, replay, svg_map, svg_timeline};
use crate::Charset;
use crate::clean::clean;

/// Width of every picture, in its own units.
pub(super) const WIDTH: f64 = 960.0;
/// Where drawings begin and end at the left and right.
pub(super) const MARGIN: f64 = 24.0;
/// Colours of groups: told apart by most eyes, on white and on black.
pub(super) const PALETTE: usize = 10;

const STYLE: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#24292f}\
.title{font-size:15px;font-weight:600}.faint{fill:#656d76}.bad{fill:#cf222e}\
.paper{fill:#fff}.grid{stroke:#d8dee4;fill:none}.axis{stroke:#8c959f;fill:none}\
.line{fill:none;stroke:#57606a;stroke-width:1.2}.cached{fill:#57606a;fill-opacity:.14}\
.oom{stroke:#cf222e;fill:none;stroke-width:1.4}.mark{stroke:#24292f;fill:none;stroke-dasharray:3 3}\
.soft{fill-opacity:.45}.free{fill:#eaeef2}.hover{fill:#000;fill-opacity:0}\
.hover:hover{fill-opacity:.09}.dim{fill-opacity:.25}.edge{stroke:#fff;stroke-width:.5}\
.c0{fill:#4c78a8}.c1{fill:#f58518}.c2{fill:#54a24b}.c3{fill:#e45756}.c4{fill:#72b7b2}\
.c5{fill:#b279a2}.c6{fill:#eeca3b}.c7{fill:#9d755d}.c8{fill:#ff9da6}.c9{fill:#8e8e93}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9198a1}.bad{fill:#ff7b72}\
.paper{fill:#0d1117}.grid{stroke:#30363d}.axis{stroke:#6e7681}.line{stroke:#9198a1}\
.cached{fill:#9198a1;fill-opacity:.18}.oom{stroke:#ff7b72}.mark{stroke:#e6edf3}\
.free{fill:#21262d}.hover{fill:#fff}.edge{stroke:#0d1117}}";

/// Writes one picture with all views that can be drawn: timelines, memory maps, replays.
pub fn render_svg(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    let mut body = String::new();
    let mut height = MARGIN;
    for entry in entries {
        let drawn = match &entry.view {
            View::Timeline(view) => svg_timeline::draw(&mut body, height, view, &heading(entry)),
            View::Segments(view) => svg_map::draw(&mut body, height, view, &heading(entry)),
            View::Replay(view) => replay::draw(&mut body, height, view, &heading(entry)),
            _ => 0.0,
        };
        height += drawn;
    }
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n{body}</svg>"
    )
}

fn heading(entry: &Entry) -> String {
    format!("{} · device {}", entry.file, entry.device)
}

/// Text of the input, harmless in XML.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in clean(text, Charset::Unicode).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no place for these.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// At most `room` characters, the end kept.
pub(super) fn shortened(text: &str, room: usize) -> String {
    let count = text.chars().count();
    if count <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().skip(count - room.saturating_sub(1)).collect();
    format!("…{kept}")
}

/// Where a text is anchored.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A line of text.
pub(super) fn text(body: &mut String, x: f64, y: f64, class: &str, anchor: Anchor, text: &str) {
    let anchor = match anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ =
        writeln!(body, "<text x=\"{x:.1}\" y=\"{y:.1}\"{class}{anchor}>{}</text>", escaped(text));
}

/// The headings of a view; returns the height that they take.
pub(super) fn headings(body: &mut String, y: f64, title: &str, headline: &str) -> f64 {
    text(body, MARGIN, y + 12.0, "title", Anchor::Start, &shortened(title, 110));
    text(body, MARGIN, y + 32.0, "faint", Anchor::Start, headline);
    48.0
}
