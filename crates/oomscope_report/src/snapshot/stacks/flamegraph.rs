//! Flame graphs, drawn by `inferno`: an SVG that zooms and searches by itself, and a page of them.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use inferno::flamegraph::{Options, from_lines};

use super::Subject;
use super::folded::lines;
use crate::clean::clean;

/// A picture's rows; what is deeper is one frame.
const DEEPEST: usize = 200;

/// One picture of all devices.
pub(super) fn write(subjects: &[Subject<'_>], out: &mut dyn Write) -> io::Result<()> {
    let all: Vec<&Subject<'_>> = subjects.iter().collect();
    out.write_all(&picture(&all)?)
}

fn picture(subjects: &[&Subject<'_>]) -> io::Result<Vec<u8>> {
    let is_several = subjects.len() > 1;
    let folded: Vec<String> =
        subjects.iter().flat_map(|subject| lines(subject, is_several, DEEPEST)).collect();
    if folded.is_empty() {
        return Ok(NOTHING.as_bytes().to_vec());
    }
    let mut options = Options::default();
    options.title = title(subjects);
    options.subtitle = subjects.first().filter(|_| !is_several).map(|only| only.view.headline());
    let is_blocks = subjects.first().is_some_and(|subject| subject.view.weighs == "blocks");
    let unit = if is_blocks { "blocks" } else { "bytes" };
    unit.clone_into(&mut options.count_name);
    "".clone_into(&mut options.name_type);
    // The same frame has the same colour in every picture.
    options.deterministic = true;
    options.min_width = 0.05;
    let mut svg = Vec::new();
    from_lines(&mut options, folded.iter().map(String::as_str), &mut svg)?;
    Ok(svg)
}

fn title(subjects: &[&Subject<'_>]) -> String {
    match subjects {
        [only] => only.name(),
        several => format!("{} devices", several.len()),
    }
}

/// Stands for a flame graph of nothing.
const NOTHING: &str = r#"<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="1200" height="60" viewBox="0 0 1200 60"><text x="600" y="35" text-anchor="middle" font-family="sans-serif">no block is selected</text></svg>
"#;

/// A page with a picture a device. Each picture is a document of its own: their scripts and ids
/// know nothing of each other.
pub(super) fn write_page(subjects: &[Subject<'_>], out: &mut dyn Write) -> io::Result<()> {
    out.write_all(HEAD.as_bytes())?;
    for subject in subjects {
        let svg = picture(&[subject])?;
        let name = escape(&subject.name());
        writeln!(out, "<h2>{name}</h2>\n<p>{}</p>", escape(&subject.view.headline()))?;
        write!(out, "<object type=\"image/svg+xml\" data=\"data:image/svg+xml;base64,")?;
        out.write_all(STANDARD.encode(svg).as_bytes())?;
        writeln!(out, "\">{name}</object>")?;
    }
    out.write_all(b"</body></html>\n")
}

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>oomscope: bytes by call stack</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 1rem; color: #222; background: #fff }
h2 { font-size: 1.1rem; margin: 1rem 0 0; overflow-wrap: anywhere }
p { margin: 0 0 .5rem; color: #555 }
object { display: block; width: 100%; border: 1px solid #ddd }
</style></head><body>
<p>A flame is a call, as wide as the bytes that it and its callees hold; the outermost call is at
the bottom. Click a flame to zoom, Ctrl-F to search.</p>
"#;

fn escape(text: &str) -> String {
    clean(text, crate::Charset::Unicode)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
