//! Whole reports, as people and programs get them.

mod diagnoses;

use oomscope_model::Diagnosis;
use oomscope_report::{
    Charset, Colour, Detail, TextStyle, render_json, render_markdown, render_page, render_text,
};
use unicode_width::UnicodeWidthStr;

fn text(diagnosis: &Diagnosis, style: TextStyle) -> String {
    let mut out = Vec::new();
    render_text(diagnosis, &style, &mut out).expect("writing to memory succeeds");
    String::from_utf8(out).expect("text is UTF-8")
}

fn markdown(diagnosis: &Diagnosis) -> String {
    let mut out = Vec::new();
    render_markdown(diagnosis, &mut out).expect("writing to memory succeeds");
    String::from_utf8(out).expect("Markdown is UTF-8")
}

fn json(diagnosis: &Diagnosis) -> String {
    let mut out = Vec::new();
    render_json(diagnosis, &mut out).expect("writing to memory succeeds");
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[test]
fn whole_reports_stay_as_they_are() {
    for (name, diagnosis) in diagnoses::all() {
        insta::assert_snapshot!(format!("{name}.txt"), text(&diagnosis, TextStyle::default()));
        insta::assert_snapshot!(format!("{name}.md"), markdown(&diagnosis));
        insta::assert_snapshot!(format!("{name}.json"), json(&diagnosis));
    }
}

#[test]
fn a_brief_report_has_the_line_the_diff_and_the_four_parts() {
    let style = TextStyle { detail: Detail::Brief, ..TextStyle::default() };
    insta::assert_snapshot!("brief.txt", text(&diagnoses::retained_graph(), style));
}

#[test]
fn colour_and_ascii_are_written_when_asked() {
    let style =
        TextStyle { colour: Colour::Always, charset: Charset::Ascii, ..TextStyle::default() };
    let coloured = text(&diagnoses::retained_graph(), style);
    assert!(coloured.is_ascii());
    insta::assert_snapshot!("coloured.txt", coloured.replace('\x1b', "ESC"));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for (name, diagnosis) in diagnoses::all() {
        for width in [60, 72, 80, 100, 120] {
            for charset in [Charset::Unicode, Charset::Ascii] {
                let style = TextStyle { width, charset, ..TextStyle::default() };
                let shown = text(&diagnosis, style);
                let mut is_diff = false;
                for line in shown.lines() {
                    is_diff = line.starts_with("    --- ") || (is_diff && line.starts_with("    "));
                    if is_diff || line.trim_start().starts_with("--> ") {
                        continue;
                    }
                    assert!(line.width() <= width, "{name} at {width}: {line}");
                }
            }
        }
    }
}

#[test]
fn lines_have_no_blanks_at_their_end() {
    for (name, diagnosis) in diagnoses::all() {
        for line in text(&diagnosis, TextStyle::default()).lines() {
            assert_eq!(line.trim_end(), line, "{name}");
        }
    }
}

#[test]
fn a_hostile_log_sends_nothing_to_the_terminal() {
    let hostile = diagnoses::hostile();
    let coloured = TextStyle { colour: Colour::Always, ..TextStyle::default() };
    let is_obeyed = |one: char| {
        (one.is_control() && one != '\n') || matches!(one, '\u{202a}'..='\u{202e}' | '\u{200b}')
    };
    for shown in [text(&hostile, TextStyle::default()), markdown(&hostile), json(&hostile)] {
        assert_eq!(shown.find(is_obeyed), None);
    }
    // What is left beside our own colours is as harmless.
    for part in text(&hostile, coloured).split('\x1b').skip(1) {
        let (code, rest) = part.split_once('m').expect("only colours are written");
        let is_colour = |one: char| one.is_ascii_digit() || matches!(one, '[' | ';');
        assert!(code.starts_with('[') && code.chars().all(is_colour), "{code:?}");
        assert_eq!(rest.find(is_obeyed), None);
    }
    let parsed: serde_json::Value = serde_json::from_str(&json(&hostile)).expect("JSON is valid");
    assert_eq!(parsed["headline"], hostile.headline, "escaping loses nothing");
}

#[test]
fn a_page_reads_well_in_the_terminal() {
    let page = "\
# graph-retained

A tensor that is kept across steps **still carries** its autograd graph, and with it every
activation that `backward` would need.

1. keep numbers: `loss.item()`
2. or cut the graph: `loss.detach()`

- a longer item that has to be wrapped because it does not fit into the width of the page at all

| evidence | weight |
|---|---|
| growth by step | **high** |

```python
total += loss.item()  # a number
```

> Not every append is a leak.
\x1b[31m";
    let mut out = Vec::new();
    let style = TextStyle { width: 72, ..TextStyle::default() };
    render_page(page, &style, &mut out).expect("writing to memory succeeds");
    insta::assert_snapshot!("page.txt", String::from_utf8_lossy(&out));
}
