//! The memory map as a picture: a strip a segment, blocks coloured by what they are.

use std::fmt::Write as _;

use oomscope_model::Bytes;

use super::section::{duration, grouped};
use super::segments::{BlockV1, SegmentV1, SegmentsV1, stream};
use super::svg::{Anchor, MARGIN, WIDTH, escaped, headings, shortened, text};

/// Where strips begin and end; labels stand before them.
const LEFT: f64 = 330.0;
const RIGHT: f64 = WIDTH - MARGIN;
/// A strip's height, and that of its row.
const STRIP: f64 = 16.0;
const ROW: f64 = 21.0;
/// What is narrower is drawn together with what follows.
const NARROWEST: f64 = 0.7;

/// What blocks can be, with the class that colours them.
const CATEGORIES: [(&str, &str); 8] = [
    ("parameters", "c0"),
    ("gradients", "c1"),
    ("optimizer state", "c2"),
    ("activations", "c3"),
    ("backward temporaries", "c4"),
    ("inputs", "c5"),
    ("workspaces", "c6"),
    ("unknown", "c9"),
];
const WAITING: &str = "c8";

/// The class that colours a category.
pub(super) fn category_class(name: &str) -> Option<&'static str> {
    CATEGORIES.iter().find(|(known, _)| *known == name).map(|(_, class)| *class)
}

/// Draws a map below `top`; returns the height that it takes.
pub(super) fn draw(body: &mut String, top: f64, view: &SegmentsV1, heading: &str) -> f64 {
    let headline = format!(
        "{} allocated, {} reserved {}; segments by {}",
        Bytes(view.counters.allocated),
        Bytes(view.counters.reserved),
        view.at.words(),
        view.sort
    );
    let mut y = top + headings(body, top, heading, &headline);
    if view.segments.is_empty() {
        text(body, MARGIN, y + 12.0, "", Anchor::Start, "no segment to show");
        return y - top + 40.0;
    }
    y = key(body, y, view);
    for (x, label) in
        [(MARGIN + 100.0, "address"), (MARGIN + 176.0, "size"), (MARGIN + 226.0, "used")]
    {
        text(body, x, y, "faint", Anchor::End, label);
    }
    text(body, MARGIN + 238.0, y, "faint", Anchor::Start, "pool");
    y += 8.0;
    for segment in &view.segments {
        draw_segment(body, y, segment, view.has_selection);
        y += ROW;
        if let Some(unmapped) = segment.unmapped_after.filter(|_| view.sort == "address") {
            let label = format!("{} of address space, not mapped", Bytes(unmapped));
            text(body, LEFT, y + 11.0, "faint", Anchor::Start, &label);
            y += ROW;
        }
    }
    if view.segments_left_out > 0 {
        let label = format!(
            "and {} more segments, {}",
            grouped(view.segments_left_out),
            Bytes(view.bytes_left_out)
        );
        text(body, LEFT, y + 12.0, "faint", Anchor::Start, &label);
        y += ROW;
    }
    y - top + MARGIN
}

/// The categories that occur; returns where it ends.
fn key(body: &mut String, y: f64, view: &SegmentsV1) -> f64 {
    let blocks = || view.segments.iter().flat_map(|segment| &segment.drawn);
    let mut x = MARGIN;
    let mut y = y + 10.0;
    let occurs = |name: &str| blocks().any(|block| block.category == Some(name));
    let mut entries: Vec<(&str, &str)> =
        CATEGORIES.into_iter().filter(|(name, _)| occurs(name)).collect();
    if blocks().any(|block| block.state == "pending-free") {
        entries.push(("waits for a stream", WAITING));
    }
    entries.push(("free", "free"));
    for (name, class) in entries {
        let width = 34.0 + name.len() as f64 * 6.6;
        if x + width > RIGHT {
            x = MARGIN;
            y += 20.0;
        }
        let _ = writeln!(
            body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" rx=\"2\"/>",
            y - 10.0
        );
        text(body, x + 18.0, y, "", Anchor::Start, name);
        x += width;
    }
    y + 30.0
}

fn draw_segment(body: &mut String, y: f64, segment: &SegmentV1, has_selection: bool) {
    let baseline = y + 12.0;
    let used = format!("{:.0} %", segment.used() * 100.0);
    let address = format!("{:#x}", segment.address);
    for (x, label) in [
        (MARGIN + 100.0, address.as_str()),
        (MARGIN + 176.0, Bytes(segment.size).to_string().as_str()),
        (MARGIN + 226.0, used.as_str()),
    ] {
        text(body, x, baseline, "", Anchor::End, label);
    }
    let mut pool = segment.pool.clone();
    if segment.stream != 0 {
        let _ = write!(pool, " · {}", stream(segment.stream));
    }
    text(body, MARGIN + 238.0, baseline, "faint", Anchor::Start, &shortened(&pool, 11));
    let _ = writeln!(
        body,
        "<rect class=\"free\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{STRIP}\">\
         <title>{}: {} in {} holes, the largest {}</title></rect>",
        RIGHT - LEFT,
        escaped(&segment.pool),
        Bytes(segment.free),
        grouped(segment.holes),
        Bytes(segment.largest_hole)
    );
    let scale = (RIGHT - LEFT) / segment.size.max(1) as f64;
    let place = |block: &BlockV1| {
        let start = block.address.saturating_sub(segment.address) as f64 * scale;
        (start, (start + block.size as f64 * scale).min(RIGHT - LEFT))
    };
    let mut narrow: Vec<&BlockV1> = Vec::new();
    for block in segment.drawn.iter().filter(|block| block.state != "free") {
        let (start, end) = place(block);
        let reach = narrow.first().map(|first| place(first).0);
        if reach.is_some_and(|reach| end - start >= NARROWEST || end - reach > NARROWEST) {
            draw_blocks(body, y, &narrow, &place, has_selection);
            narrow.clear();
        }
        narrow.push(block);
        if end - start >= NARROWEST {
            draw_blocks(body, y, &narrow, &place, has_selection);
            narrow.clear();
        }
    }
    draw_blocks(body, y, &narrow, &place, has_selection);
}

/// One rectangle for a block, or for several that are too narrow to be seen one by one.
fn draw_blocks(
    body: &mut String,
    y: f64,
    blocks: &[&BlockV1],
    place: &impl Fn(&BlockV1) -> (f64, f64),
    has_selection: bool,
) {
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return };
    let Some(largest) = blocks.iter().max_by_key(|block| block.size) else { return };
    let (start, end) = (place(first).0, place(last).1);
    let class = if largest.state == "pending-free" {
        WAITING
    } else {
        largest.category.and_then(category_class).unwrap_or("c9")
    };
    let is_dim = has_selection && !blocks.iter().any(|block| block.selected);
    let dim = if is_dim { " dim" } else { "" };
    // Neighbours are told apart by an edge where there is room for one.
    let edge = if end - start > 3.0 { " edge" } else { "" };
    let title = if let [block] = blocks {
        tooltip(block)
    } else {
        let bytes = blocks.iter().map(|block| Bytes(block.size)).sum::<Bytes>();
        format!("{} blocks, {bytes}\nthe largest: {}", blocks.len(), tooltip(largest))
    };
    let title: Vec<String> = title.lines().map(escaped).collect();
    let _ = writeln!(
        body,
        "<rect class=\"{class}{dim}{edge}\" x=\"{:.2}\" y=\"{y:.1}\" width=\"{:.2}\" \
         height=\"{STRIP}\"><title>{}</title></rect>",
        LEFT + start,
        (end - start).max(0.4),
        title.join("&#10;")
    );
}

fn tooltip(block: &BlockV1) -> String {
    let mut lines = vec![format!(
        "{} {}, {}",
        Bytes(block.size),
        block.state,
        block.category.unwrap_or("unknown")
    )];
    match &block.place {
        Some(place) => lines.push(place.place().to_string()),
        None => lines.push("no frame of the user's".to_owned()),
    }
    if let Some(call) = &block.library_call {
        lines.push(call.clone());
    }
    if let Some(age) = block.age_us {
        lines.push(format!("{} old", duration(age)));
    }
    if let Some(event) = block.event {
        lines.push(format!("made at event {}", grouped(event.into())));
    }
    lines.join("\n")
}
