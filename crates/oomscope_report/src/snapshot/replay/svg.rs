//! A replay as a picture: what was in use, and what was held for it as recorded and as changed.

use std::fmt::Write as _;

use super::super::svg::{Anchor, MARGIN, headings, shortened, text};
use super::super::svg_timeline::{HEIGHT, LEFT, Plot};
use super::ReplayV1;

/// The colour of the changed run.
const CHANGED: &str = "#f58518";

/// Draws a replay below `top`; returns the height that it takes.
pub(in super::super) fn draw(body: &mut String, top: f64, view: &ReplayV1, heading: &str) -> f64 {
    let curve = &view.curve;
    let mut series: Vec<(&str, &[u64])> = vec![
        ("reserved as recorded", &curve.recorded.reserved),
        ("active as recorded", &curve.recorded.active),
    ];
    if let Some(changed) = &curve.changed {
        series.push(("reserved, changed", &changed.reserved));
        series.push(("active, changed", &changed.active));
    }
    let changed = view.changed.as_ref().and_then(|changed| changed.oom.as_ref());
    let failures: Vec<_> = view.recorded.oom.iter().chain(changed).collect();
    let timeline = view.timeline(series, &failures);
    let conf = view.changed.as_ref().map(|changed| match changed.conf.as_str() {
        "" => "the defaults: ".to_owned(),
        conf => format!("{}: ", shortened(conf, 60)),
    });
    let headline = format!("{}{}", conf.unwrap_or_default(), view.headline());
    let plot_top = top + headings(body, top, heading, &headline) + 20.0;
    let plot = Plot { top: plot_top, most: curve.most().max(1), buckets: curve.event.len() };
    plot.grid(body);
    plot.area(body, &curve.recorded.reserved, None, "cached", "reserved as recorded");
    plot.line(body, &curve.recorded.reserved, "line");
    plot.area(body, &curve.recorded.active, None, "c0", "active as recorded");
    let mut key = vec![("c0", "active as recorded"), ("cached", "reserved as recorded")];
    if let Some(changed) = &curve.changed {
        plot.stroked(body, &changed.reserved, CHANGED, "reserved, changed");
        key.push(("c1", "reserved, changed"));
    }
    plot.slices(body, &timeline);
    plot.marks(body, &timeline);
    plot.ticks(body, &timeline);
    let y = plot_top + HEIGHT + 44.0;
    for ((class, label), x) in key.into_iter().zip([LEFT, LEFT + 240.0, LEFT + 480.0]) {
        let _ = writeln!(
            body,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{:.1}\" width=\"12\" height=\"12\" rx=\"2\"/>",
            y - 10.0
        );
        text(body, x + 18.0, y, "", Anchor::Start, label);
    }
    y + 20.0 - top + MARGIN
}
