//! A timeline as a picture: areas with their true extremes, bands, failures and the peak marked.

use std::fmt::Write as _;

use oomscope_model::Bytes;

use super::chart::title;
use super::section::{duration, grouped};
use super::svg::{Anchor, MARGIN, PALETTE, WIDTH, escaped, headings, shortened, text};
use super::svg_map::category_class;
use super::timeline::{SeriesV1, TimelineV1};

/// The plot's left and right edges, and its height.
pub(super) const LEFT: f64 = 96.0;
const RIGHT: f64 = WIDTH - MARGIN;
pub(super) const HEIGHT: f64 = 300.0;
/// Buckets that get a tooltip of their own.
const SLICES: usize = 240;

/// Draws a timeline below `top`; returns the height that it takes.
pub(super) fn draw(body: &mut String, top: f64, view: &TimelineV1, heading: &str) -> f64 {
    let Some(headline) = view.headline() else {
        let note = format!(
            "no history was recorded; at the dump {} allocated, {} reserved",
            Bytes(view.end.allocated),
            Bytes(view.end.reserved)
        );
        return headings(body, top, heading, &note) + MARGIN;
    };
    let plot_top = top + headings(body, top, heading, &headline) + 20.0;
    let plot = Plot { top: plot_top, most: most(view), buckets: view.buckets.event.len() };
    plot.grid(body);
    let mut key: Vec<(String, String)> = Vec::new();
    if let Some(reserved) = view.counter("reserved") {
        plot.area(body, reserved.most(), None, "cached", &tooltip(reserved));
        plot.line(body, reserved.most(), "line");
        key.push(("cached".to_owned(), "reserved".to_owned()));
    }
    if view.by.is_some() {
        plot.bands(body, view, &mut key);
    } else if let Some(allocated) = view.counter("allocated") {
        plot.area(body, allocated.most(), None, "c0 soft", &tooltip(allocated));
        plot.area(body, allocated.least(), None, "c0", &tooltip(allocated));
        key.push(("c0".to_owned(), "allocated (lighter: most within a step)".to_owned()));
    }
    let others = view.series.iter().filter(|series| {
        let is_drawn =
            series.name == "reserved" || (series.name == "allocated" && view.by.is_none());
        !series.is_band() && !is_drawn
    });
    for (series, colour) in others.zip([1, 2, 5, 6, 7]) {
        let stroke = ["", "#f58518", "#54a24b", "", "", "#b279a2", "#eeca3b", "#9d755d"];
        let stroke = stroke.get(colour).copied().unwrap_or("#8e8e93");
        plot.stroked(body, series.most(), stroke, &tooltip(series));
        key.push((format!("c{colour}"), title(&series.name).to_lowercase()));
    }
    plot.slices(body, view);
    plot.marks(body, view);
    plot.ticks(body, view);
    let mut y = plot_top + HEIGHT + 44.0;
    // The picture's order: the top band first.
    for pair in key.iter().rev().collect::<Vec<_>>().chunks(2) {
        for ((class, label), x) in pair.iter().zip([LEFT, LEFT + 430.0]) {
            let _ = writeln!(
                body,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{:.1}\" width=\"12\" height=\"12\" rx=\"2\"/>",
                y - 10.0
            );
            text(body, x + 18.0, y, "", Anchor::Start, &shortened(label, 62));
        }
        y += 20.0;
    }
    y - top + MARGIN
}

fn tooltip(series: &SeriesV1) -> String {
    format!("{}: at most {}", title(&series.name), Bytes(series.peak))
}

/// The highest of all that is drawn.
fn most(view: &TimelineV1) -> u64 {
    let counters = view.series.iter().filter(|it| !it.is_band()).map(|series| series.peak).max();
    let stacked = (0..view.buckets.event.len())
        .map(|at| view.bands().filter_map(|band| band.stackable().get(at)).sum::<u64>())
        .max();
    counters.max(stacked).unwrap_or(0).max(1)
}

/// Where counters over events are drawn.
pub(super) struct Plot {
    pub(super) top: f64,
    /// The highest of what is drawn.
    pub(super) most: u64,
    pub(super) buckets: usize,
}

impl Plot {
    fn x(&self, bucket: usize) -> f64 {
        LEFT + (RIGHT - LEFT) * bucket as f64 / self.buckets.max(1) as f64
    }

    fn y(&self, bytes: u64) -> f64 {
        // A little air above the peak.
        self.top + HEIGHT - Bytes(bytes).share_of(Bytes(self.most)) * (HEIGHT - 8.0)
    }

    /// Lines at round figures: a power of two apart.
    pub(super) fn grid(&self, body: &mut String) {
        let step = (self.most / 7).max(1).checked_next_power_of_two().unwrap_or(u64::MAX);
        for bytes in (0..).map(|index: u64| index.saturating_mul(step)) {
            let y = self.y(bytes);
            let class = if bytes == 0 { "axis" } else { "grid" };
            let _ = writeln!(body, "<path class=\"{class}\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>");
            text(body, LEFT - 8.0, y + 4.0, "faint", Anchor::End, &round(bytes));
            if bytes.saturating_add(step) > self.most || bytes == u64::MAX {
                break;
            }
        }
    }

    /// The steps of a series from left to right.
    fn steps(&self, values: &[u64]) -> String {
        let mut path = String::new();
        let mut last = None;
        for (bucket, &value) in values.iter().enumerate() {
            let y = self.y(value);
            if last != Some(value) {
                let _ = match last {
                    None => write!(path, "{:.1} {y:.1}", self.x(bucket)),
                    Some(_) => write!(path, "H{:.1}V{y:.1}", self.x(bucket)),
                };
                last = Some(value);
            }
        }
        let _ = write!(path, "H{RIGHT:.1}");
        path
    }

    pub(super) fn area(
        &self,
        body: &mut String,
        tops: &[u64],
        bottoms: Option<&[u64]>,
        class: &str,
        title: &str,
    ) {
        let mut path = format!("M{}", self.steps(tops));
        match bottoms {
            None => {
                let _ = write!(path, "V{:.1}H{LEFT:.1}Z", self.y(0));
            }
            Some(bottoms) => {
                let mut last = None;
                for (bucket, &value) in bottoms.iter().enumerate().rev() {
                    if last != Some(value) {
                        let _ = write!(path, "H{:.1}V{:.1}", self.x(bucket + 1), self.y(value));
                        last = Some(value);
                    }
                }
                let _ = write!(path, "H{LEFT:.1}Z");
            }
        }
        let title = escaped(title);
        let _ =
            writeln!(body, "<path class=\"{class}\" d=\"{path}\"><title>{title}</title></path>");
    }

    pub(super) fn line(&self, body: &mut String, values: &[u64], class: &str) {
        let _ = writeln!(body, "<path class=\"{class}\" d=\"M{}\"/>", self.steps(values));
    }

    pub(super) fn stroked(&self, body: &mut String, values: &[u64], colour: &str, title: &str) {
        let _ = writeln!(
            body,
            "<path fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.4\" d=\"M{}\">\
             <title>{}</title></path>",
            self.steps(values),
            escaped(title)
        );
    }

    fn bands(&self, body: &mut String, view: &TimelineV1, key: &mut Vec<(String, String)>) {
        let mut below = vec![0_u64; self.buckets];
        for (band, colour) in view.bands().zip((0..PALETTE - 1).cycle()) {
            let of_category = category_class(&band.name).filter(|_| view.by == Some("category"));
            let colour = if band.kind == "rest" { PALETTE - 1 } else { colour };
            let class = of_category.map_or_else(|| format!("c{colour}"), str::to_owned);
            let tops: Vec<u64> = below
                .iter()
                .zip(band.stackable())
                .map(|(below, own)| below.saturating_add(*own))
                .collect();
            self.area(body, &tops, Some(&below), &class, &tooltip(band));
            key.push((
                class,
                format!("{} · at most {}", shortened(&band.name, 40), Bytes(band.peak)),
            ));
            below = tops;
        }
    }

    /// Invisible columns that say what they stand for.
    pub(super) fn slices(&self, body: &mut String, view: &TimelineV1) {
        let slices = self.buckets.min(SLICES);
        for slice in 0..slices {
            let (start, end) = (slice * self.buckets / slices, (slice + 1) * self.buckets / slices);
            let mut lines = vec![place(view, start)];
            for series in view.series.iter().rev() {
                let inside = series.most().get(start..end).unwrap_or_default();
                let most = inside.iter().copied().max().unwrap_or(0);
                if most > 0 || !series.is_band() {
                    lines.push(format!("{}: {}", shortened(&series.name, 60), Bytes(most)));
                }
            }
            let lines: Vec<String> = lines.iter().map(|line| escaped(line)).collect();
            let (left, right) = (self.x(start), self.x(end));
            let _ = writeln!(
                body,
                "<rect class=\"hover\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" \
                 height=\"{HEIGHT}\"><title>{}</title></rect>",
                self.top,
                right - left,
                lines.join("&#10;")
            );
        }
    }

    pub(super) fn marks(&self, body: &mut String, view: &TimelineV1) {
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for mark in view.marks() {
            let bucket = view.bucket_of(mark.event);
            let x = f64::midpoint(self.x(bucket), self.x(bucket + 1));
            let (line, class) = if mark.is_failure { ("oom", "bad") } else { ("mark", "") };
            let _ = writeln!(
                body,
                "<path class=\"{line}\" d=\"M{x:.1} {:.1}V{:.1}\"><title>{} at event {}</title></path>",
                self.top - 6.0,
                self.top + HEIGHT,
                escaped(&mark.label),
                grouped(mark.event.into())
            );
            // About 6.5 units a character; a label that would cover another is left to its tooltip.
            let half = mark.label.chars().count() as f64 * 3.25 + 4.0;
            let centre = x.min(RIGHT - half).max(LEFT + half);
            let spot = (centre - half, centre + half);
            if taken.iter().all(|other| spot.1 < other.0 || other.1 < spot.0) {
                text(body, centre, self.top - 10.0, class, Anchor::Middle, &mark.label);
                taken.push(spot);
            }
        }
    }

    /// Round figures under the axis.
    pub(super) fn ticks(&self, body: &mut String, view: &TimelineV1) {
        let starts = view.buckets.start_us.as_deref().filter(|_| view.axis == "time");
        let (start, end) = match (starts.and_then(<[u64]>::first), view.end_us) {
            (Some(&start), Some(end)) => (start, end),
            _ => (view.from_event.into(), (view.from_event + view.events).into()),
        };
        let span = end.saturating_sub(start).max(1);
        let step = round_step(span / 6);
        let first = start.div_ceil(step).saturating_mul(step);
        let ticks = (0..12).map(|index| first.saturating_add(step.saturating_mul(index)));
        for tick in ticks.take_while(|tick| *tick <= end) {
            let x = LEFT + (RIGHT - LEFT) * (tick - start) as f64 / span as f64;
            let y = self.top + HEIGHT;
            let _ = writeln!(body, "<path class=\"axis\" d=\"M{x:.1} {y:.1}v5\"/>");
            let label = match starts {
                Some(_) => short_time(tick, step),
                None => grouped(tick),
            };
            text(body, x, y + 18.0, "faint", Anchor::Middle, &label);
        }
        if starts.is_none() {
            text(body, LEFT - 8.0, self.top + HEIGHT + 18.0, "faint", Anchor::End, "event");
        }
    }
}

/// What a slice of the axis stands for.
fn place(view: &TimelineV1, bucket: usize) -> String {
    let event = view.buckets.event.get(bucket).copied().unwrap_or(0);
    let start = view.buckets.start_us.as_ref().and_then(|starts| starts.get(bucket).copied());
    let time = start.map_or_else(String::new, |start| format!("{} · ", duration(start)));
    format!("{time}event {}", grouped(event.into()))
}

/// 1, 2 or 5 times a power of ten, not less than `least`.
fn round_step(least: u64) -> u64 {
    let mut step = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            let candidate = step.saturating_mul(factor);
            if candidate >= least {
                return candidate.max(1);
            }
        }
        step = step.saturating_mul(10);
    }
}

fn short_time(micros: u64, step: u64) -> String {
    let count = micros as f64;
    match step {
        _ if micros == 0 => "0".to_owned(),
        0..1_000 => format!("{:.1} ms", count / 1e3),
        1_000..1_000_000 if micros < 1_000_000 => format!("{:.0} ms", count / 1e3),
        1_000..1_000_000 => format!("{:.2} s", count / 1e6),
        1_000_000..60_000_000 => format!("{:.0} s", count / 1e6),
        _ => format!("{:.1} min", count / 60e6),
    }
}

/// A round figure without its zeros: `512 MiB`.
fn round(bytes: u64) -> String {
    for (unit, name) in [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit {
            let count = bytes as f64 / unit as f64;
            return if bytes.is_multiple_of(unit) {
                format!("{count:.0} {name}")
            } else {
                format!("{count:.1} {name}")
            };
        }
    }
    format!("{bytes}")
}
