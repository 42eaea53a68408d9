//! Prints the diagnoses of the tests as a terminal shows them:
//! `cargo run -p oomscope_report --example show -- retained_graph text`.
#![allow(clippy::disallowed_methods, reason = "an example is a program of its own")]

#[path = "../tests/diagnoses/mod.rs"]
mod diagnoses;

use oomscope_report::{Colour, TextStyle, render_json, render_markdown, render_text};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let wanted = arguments.next().unwrap_or_default();
    let format = arguments.next().unwrap_or_default();
    let style = TextStyle { colour: Colour::Always, ..TextStyle::default() };
    let out = &mut std::io::stdout().lock();
    for (name, diagnosis) in diagnoses::all() {
        match format.as_str() {
            _ if !wanted.is_empty() && wanted != name => {}
            "json" => render_json(&diagnosis, out)?,
            "markdown" => render_markdown(&diagnosis, out)?,
            _ => render_text(&diagnosis, &style, out)?,
        }
    }
    Ok(())
}
