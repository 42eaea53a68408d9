//! Charts of characters: areas over time, stacked bands, marks under the axis.

use oomscope_model::Bytes;

use super::timeline::{Mark, SeriesV1, TimelineV1};
use crate::TextStyle;
use crate::layout::Tone;

/// A line of toned text.
pub(super) type Line = Vec<(Tone, String)>;

/// Columns of the labels at the left, the axis included.
const GUTTER: usize = 13;
/// Rows of the main chart.
const TALL: usize = 12;
/// Rows of a chart below it.
const LOW: usize = 5;
/// How bands are told apart without colour, and with it.
const FILLS: [(char, Tone); 9] = [
    ('█', Tone::Code),
    ('░', Tone::Bar),
    ('▓', Tone::Good),
    ('+', Tone::Doubt),
    ('▒', Tone::Heading),
    ('o', Tone::Removed),
    ('=', Tone::Plain),
    ('x', Tone::Code),
    (':', Tone::Good),
];
/// How the rest is drawn.
const REST: (char, Tone) = ('·', Tone::Faint);

/// What is drawn in one tone up to a height in each column.
struct Layer {
    tone: Tone,
    fill: char,
    tops: Vec<u64>,
}

/// The charts of a window: the groups or what is allocated and reserved, then the other counters.
pub(super) fn charts(view: &TimelineV1) -> Vec<Vec<Line>> {
    let columns = TextStyle::default().columns() - GUTTER - 1;
    let most = |series: &SeriesV1| spread(series.most(), columns, u64::max);
    let (allocated, reserved) = (view.counter("allocated"), view.counter("reserved"));
    let mut charts = Vec::new();
    let mut drawn: Vec<&str> = Vec::new();
    if view.by.is_some() {
        charts.push(band_chart(view, columns));
    }
    if let (Some(allocated), Some(reserved)) = (allocated, reserved) {
        let layers = [
            Layer { tone: Tone::Bar, fill: '█', tops: most(allocated) },
            Layer { tone: Tone::Faint, fill: '░', tops: most(reserved) },
        ];
        let key = vec![
            (Tone::Heading, "Memory".to_owned()),
            (Tone::Bar, "   █ ".to_owned()),
            (Tone::Plain, "allocated".to_owned()),
            (Tone::Faint, "   ░ ".to_owned()),
            (Tone::Plain, "reserved beyond it".to_owned()),
        ];
        let rows = if charts.is_empty() { TALL } else { LOW };
        charts.push(chart(view, key, &layers, rows, columns));
        drawn.extend(["allocated", "reserved"]);
    }
    let others = view.series.iter().filter(|it| !it.is_band());
    for series in others.filter(|it| !drawn.contains(&it.name.as_str())) {
        let least = spread(series.least(), columns, u64::min);
        let layers = [
            Layer { tone: Tone::Bar, fill: '█', tops: least },
            Layer { tone: Tone::Faint, fill: '░', tops: most(series) },
        ];
        let key = vec![
            (Tone::Heading, title(&series.name).to_owned()),
            (Tone::Bar, "   █ ".to_owned()),
            (Tone::Plain, "least".to_owned()),
            (Tone::Faint, "   ░ ".to_owned()),
            (Tone::Plain, "most in a column".to_owned()),
        ];
        let rows = if charts.is_empty() { TALL } else { LOW };
        charts.push(chart(view, key, &layers, rows, columns));
    }
    charts
}

/// A counter in words.
pub(super) fn title(name: &str) -> &str {
    match name {
        "allocated" => "Allocated",
        "active" => "Active: allocated, or waiting for a stream",
        "reserved" => "Reserved from the device",
        "cached" => "Cached: reserved, not active",
        "largest-free" => "Largest free block",
        other => other,
    }
}

fn band_chart(view: &TimelineV1, columns: usize) -> Vec<Line> {
    // Bands are taken where their sum is highest, so that the stack's top is the true most.
    let totals = totals(view);
    let highest = chosen(&totals, columns);
    let mut layers: Vec<Layer> = Vec::new();
    let mut fills = FILLS.iter().cycle();
    for band in view.bands() {
        let next = fills.next().copied().unwrap_or(REST);
        let (fill, tone) = if band.kind == "rest" { REST } else { next };
        let below = layers.last().map(|layer| layer.tops.as_slice()).unwrap_or_default();
        let own = highest.iter().map(|&at| band.stackable().get(at).copied().unwrap_or(0));
        let below = below.iter().copied().chain(std::iter::repeat(0));
        let tops = own.zip(below).map(|(own, below)| below.saturating_add(own)).collect();
        layers.push(Layer { tone, fill, tops });
    }
    let by = view.by.unwrap_or_default();
    let key = vec![(Tone::Heading, format!("Memory in use by {by}"))];
    let mut lines = chart(view, key, &layers, TALL, columns);
    lines.push(Vec::new());
    let bands: Vec<&SeriesV1> = view.bands().collect();
    lines.push(vec![(Tone::Faint, format!("    {:>11}  {:>11}  {by}", "most", "at the end"))]);
    for (band, layer) in bands.iter().zip(&layers).rev() {
        let end = Bytes(band.last.last().copied().unwrap_or(0));
        lines.push(vec![
            (layer.tone, format!("  {} ", layer.fill)),
            (Tone::Plain, format!("{:>11}  {end:>11}  ", Bytes(band.peak))),
            (Tone::Plain, shortened(&band.name, columns - 17)),
        ]);
    }
    lines
}

/// A label whose end is kept.
fn shortened(label: &str, room: usize) -> String {
    let count = label.chars().count();
    if count <= room {
        return label.to_owned();
    }
    let kept: String = label.chars().skip(count - room.saturating_sub(1)).collect();
    format!("…{kept}")
}

/// The sum of all bands by bucket.
fn totals(view: &TimelineV1) -> Vec<u64> {
    let mut totals = vec![0_u64; view.buckets.event.len()];
    for band in view.bands() {
        for (total, own) in totals.iter_mut().zip(band.stackable()) {
            *total = total.saturating_add(*own);
        }
    }
    totals
}

/// The buckets of a column of `columns`.
fn buckets_of(column: usize, columns: usize, buckets: usize) -> std::ops::Range<usize> {
    let start = column * buckets / columns;
    start..((column + 1) * buckets / columns).max(start + 1)
}

/// By column the bucket with the largest total.
fn chosen(totals: &[u64], columns: usize) -> Vec<usize> {
    let highest = |column: usize| {
        let range = buckets_of(column, columns, totals.len());
        let start = range.start;
        let inside = totals.get(range).unwrap_or_default();
        let most = inside.iter().max();
        start + inside.iter().position(|total| Some(total) == most).unwrap_or(0)
    };
    (0..columns).map(highest).collect()
}

/// By column what `pick` makes of its buckets.
fn spread(values: &[u64], columns: usize, pick: fn(u64, u64) -> u64) -> Vec<u64> {
    let of = |column: usize| {
        let inside = values.get(buckets_of(column, columns, values.len())).unwrap_or_default();
        inside.iter().copied().reduce(pick).unwrap_or(0)
    };
    (0..columns).map(of).collect()
}

/// One counter below another, both up to `top`.
pub(super) fn two_layers(
    view: &TimelineV1,
    key: Line,
    [lower, upper]: [&[u64]; 2],
    top: u64,
) -> Vec<Line> {
    let columns = TextStyle::default().columns() - GUTTER - 1;
    let most = |values: &[u64]| spread(values, columns, u64::max);
    let layers = [
        Layer { tone: Tone::Bar, fill: '█', tops: most(lower) },
        Layer { tone: Tone::Faint, fill: '░', tops: most(upper) },
    ];
    chart_to(view, key, &layers, TALL, columns, top)
}

fn chart(view: &TimelineV1, key: Line, layers: &[Layer], rows: usize, columns: usize) -> Vec<Line> {
    let top = layers.iter().flat_map(|layer| &layer.tops).copied().max().unwrap_or(0);
    chart_to(view, key, layers, rows, columns, top)
}

/// A chart whose highest row stands for `top`.
fn chart_to(
    view: &TimelineV1,
    key: Line,
    layers: &[Layer],
    rows: usize,
    columns: usize,
    top: u64,
) -> Vec<Line> {
    let mut lines = vec![key];
    for row in (0..rows).rev() {
        let label = match row {
            _ if row + 1 == rows => Bytes(top).to_string(),
            _ if row + 1 == rows / 2 && rows > 8 => Bytes(top / 2).to_string(),
            _ => String::new(),
        };
        let axis = if label.is_empty() { '│' } else { '┤' };
        let mut line = vec![(Tone::Faint, format!("{label:>11} {axis}"))];
        for column in 0..columns {
            let (tone, glyph) = cell(layers, column, row, rows, top);
            match line.last_mut() {
                Some((last, text)) if *last == tone => text.push(glyph),
                _ => line.push((tone, glyph.to_string())),
            }
        }
        lines.push(line);
    }
    let labelled = if rows == TALL { Labelled::Yes } else { Labelled::No };
    lines.extend(axis(view, columns, labelled));
    lines
}

/// What stands in a cell: the part of a solid layer in eighths, else the layer at its middle.
fn cell(layers: &[Layer], column: usize, row: usize, rows: usize, top: u64) -> (Tone, char) {
    const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let height = |layer: &Layer| {
        let value = layer.tops.get(column).copied().unwrap_or(0);
        // Rows from the axis, and what is there at all shows.
        let height = Bytes(value).share_of(Bytes(top)) * rows as f64;
        if value > 0 { height.max(0.125) } else { 0.0 }
    };
    let inside = |layer: &Layer| height(layer) - row as f64;
    let (Some(first), Some(last)) = (layers.first(), layers.last()) else {
        return (Tone::Plain, ' ');
    };
    let eighths = (inside(first).clamp(0.0, 1.0) * 8.0).round() as usize;
    let is_stack = layers.len() > 2 || last.fill != '░';
    if eighths > 0 && (!is_stack || layers.len() == 1) {
        return (first.tone, EIGHTHS.get(eighths).copied().unwrap_or('█'));
    }
    let covering = layers.iter().find(|layer| inside(layer) >= 0.5);
    // In the lowest row something shows however little there is.
    let lowest = || layers.iter().rfind(|layer| row == 0 && inside(layer) > 0.0);
    covering.or_else(lowest).map_or((Tone::Plain, ' '), |layer| (layer.tone, layer.fill))
}

/// Whether marks are named: once is enough.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Labelled {
    Yes,
    No,
}

/// The axis with its marks, its ends, and what the marks are.
fn axis(view: &TimelineV1, columns: usize, labelled: Labelled) -> Vec<Line> {
    let marks = view.marks();
    let buckets = view.buckets.event.len().max(1);
    let column_of = |mark: &Mark| {
        let bucket = view.bucket_of(mark.event);
        (((bucket + 1) * columns).saturating_sub(1) / buckets).min(columns - 1)
    };
    let mut ruler: Vec<(Tone, char)> = vec![(Tone::Faint, '─'); columns];
    for mark in marks.iter().rev() {
        if let Some(cell) = ruler.get_mut(column_of(mark)) {
            *cell = if mark.is_failure { (Tone::Bad, '✕') } else { (Tone::Strong, '▲') };
        }
    }
    let mut line: Line = vec![(Tone::Faint, format!("{:>11} └", 0))];
    for (tone, glyph) in ruler {
        match line.last_mut() {
            Some((last, text)) if *last == tone => text.push(glyph),
            _ => line.push((tone, glyph.to_string())),
        }
    }
    let (start, end) = view.axis_ends();
    let room = columns.saturating_sub(start.chars().count());
    let mut lines = vec![line];
    let mut labels: Vec<(usize, String, Tone)> = Vec::new();
    // A label that would run into another is left out: failures come first.
    let mut ordered: Vec<&Mark> = marks.iter().collect();
    ordered.sort_by_key(|mark| !mark.is_failure);
    for mark in ordered {
        let column = column_of(mark);
        let tone = if mark.is_failure { Tone::Bad } else { Tone::Strong };
        if let Some((_, text, known)) = labels.iter_mut().find(|(at, ..)| *at == column) {
            let is_said = text.contains(&mark.label) || (mark.is_failure && text.contains("oom"));
            if !is_said {
                text.push_str(", ");
                text.push_str(&mark.label);
                *known = tone;
            }
            continue;
        }
        labels.push((column, mark.label.clone(), tone));
    }
    if labelled == Labelled::Yes && !labels.is_empty() {
        lines.push(placed(&labels, columns));
    }
    lines.push(vec![(Tone::Faint, format!("{:GUTTER$}{start}{end:>room$}", ""))]);
    lines
}

/// Labels centred under their columns where they do not run into one another.
fn placed(labels: &[(usize, String, Tone)], columns: usize) -> Line {
    let mut spots: Vec<(usize, usize, &str, Tone)> = Vec::new();
    for (column, text, tone) in labels {
        let width = text.chars().count();
        let start = column.saturating_sub(width / 2).min(columns.saturating_sub(width));
        let end = start + width;
        if spots.iter().all(|&(other, stop, ..)| end + 2 <= other || stop + 2 <= start) {
            spots.push((start, end, text, *tone));
        }
    }
    spots.sort_unstable_by_key(|spot| spot.0);
    let mut line: Line = Vec::new();
    let mut at = 0;
    for (start, end, text, tone) in spots {
        let gap = if line.is_empty() { GUTTER + start } else { start - at };
        line.push((Tone::Plain, " ".repeat(gap)));
        line.push((tone, text.to_owned()));
        at = end;
    }
    line
}
