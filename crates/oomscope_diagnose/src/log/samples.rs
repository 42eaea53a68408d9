//! Memory figures that a program prints while it runs, as one series: the same words before the
//! figure, live memory preferred over peaks, peaks over what is reserved.

use std::collections::HashMap;
use std::sync::LazyLock;

use oomscope_model::{Bytes, MemorySample};
use regex::Regex;

use super::ascii;
use super::clean::clean;
use super::figures::patterns;
use super::lines::{LONGEST_LINE, Span, line_after};
use super::prefix::strip;
use super::units;

/// A longer series is thinned: growth shows in fewer points.
const MOST_SAMPLES: usize = 4096;
/// Programs print a handful of kinds of figures; noise may look like more.
const MOST_SERIES: usize = 64;

static HINT: LazyLock<Regex> =
    LazyLock::new(|| ascii::compile(r"(?i)mem|alloc|reserved|vram|[mg]i?b\b"));

patterns! {
    FIGURE = r"(?i)\b((?:(?:max|peak|cur|current|gpu|cuda|vram|total|torch)[ _-]?){0,3}(?:mem(?:ory)?(?:[ _-]?(?:alloc(?:ated)?|reserved|used|usage))?|alloc(?:ated)?(?:[ _-]?mem(?:ory)?)?|reserved|vram|used|peak|cached))(?:\s*\(([mg]i?b)\))?\s*[:=]?\s*([0-9][0-9,]*(?:\.[0-9]+)?)\s*([kmgt]i?b|bytes|[kmgt]\b)?";
    SMI = r"\|\s*([0-9]{1,7})MiB\s*/\s*[0-9]{1,7}MiB\s*\|";
    TRAILING = r"(?i)^\W*(?:step|batch|iter\w*|epoch|token|round)\s*\d+\D.*?\b([0-9]+(?:\.[0-9]+)?)\s*([mg]i?b)\b";
    STEP = r"(?i)\b(?:global[_ ])?(?:step|iter(?:ation)?|batch|token|it|i|update|round|epoch)s?\s*[:=\[#(]?\s*(\d{1,12})";
    BAR = r"(\d{1,12})/\d{1,12}\s*\[";
    ERROR = r"(?i)out of memory|Tried to allocate|memory in use|total capac|is free|pool|cuda graphs|parameters|host|cpu|\bram\b";
}

#[derive(Default)]
struct Series {
    samples: Vec<MemorySample>,
    seen: usize,
    stride: usize,
}

/// Reads the samples of the most telling series.
pub(crate) fn read_samples(text: &str) -> Vec<MemorySample> {
    let mut series: HashMap<String, Series> = HashMap::new();
    if text.is_empty() {
        return Vec::new();
    }
    let (mut number, mut counted, mut resume) = (1, 0, 0);
    let (mut seen, mut stride) = (0_usize, 1_usize);
    for found in HINT.find_iter(text) {
        if found.start() < resume {
            continue;
        }
        let span: Span = super::lines::line_at(text, found.start(), resume);
        resume = span.end.max(found.end());
        number += super::lines::feeds(text, counted, span.start);
        counted = span.start;
        seen += 1;
        if seen.is_multiple_of(MOST_SAMPLES * 4) {
            stride = stride.saturating_mul(2);
        }
        if seen.is_multiple_of(stride) && span.end - span.start < LONGEST_LINE / 4 {
            read_line(span.of(text), number, &mut series);
        }
        if line_after(text, span).is_none() {
            break;
        }
    }
    choose(series)
}

fn read_line(line: &str, number: usize, series: &mut HashMap<String, Series>) {
    if !line.contains(|c: char| c.is_ascii_digit()) || ERROR.is_match(line) {
        return;
    }
    let line = clean(line);
    let words = strip(&line).text;
    let step = STEP
        .captures(words)
        .or_else(|| BAR.captures(words))
        .and_then(|found| found.get(1)?.as_str().parse().ok());
    for (key, bytes) in figures(words) {
        if !series.contains_key(&key) && series.len() >= MOST_SERIES {
            continue;
        }
        push(series.entry(key).or_default(), MemorySample { line: number, step, bytes });
    }
}

fn figures(words: &str) -> Vec<(String, Bytes)> {
    let mut found: Vec<(String, Bytes)> = FIGURE
        .captures_iter(words)
        .filter_map(|found| {
            let key = found.get(1)?.as_str().to_ascii_lowercase().replace(['_', '-'], " ");
            // A bare number under 2²⁴ is in MB: nobody prints a few thousand bytes of memory.
            let number = found.get(3)?.as_str();
            let unit =
                found.get(4).or(found.get(2)).map_or_else(|| unit_of(number), |unit| unit.as_str());
            Some((key, units::size(&format!("{number} {unit}"))?))
        })
        .collect();
    if found.is_empty() {
        let bare = SMI
            .captures(words)
            .and_then(|found| units::size(&format!("{} MiB", found.get(1)?.as_str())))
            .or_else(|| {
                let found = TRAILING.captures(words)?;
                units::size(&format!("{} {}", found.get(1)?.as_str(), found.get(2)?.as_str()))
            });
        found.extend(bare.map(|bytes| ("memory".to_owned(), bytes)));
    }
    found
}

fn unit_of(number: &str) -> &'static str {
    let value: f64 = number.replace(',', "").parse().unwrap_or(0.0);
    if value >= 16_777_216.0 {
        "bytes"
    } else if number.contains('.') && value < 200.0 {
        "GiB"
    } else {
        "MiB"
    }
}

fn push(series: &mut Series, sample: MemorySample) {
    series.stride = series.stride.max(1);
    if series.seen.is_multiple_of(series.stride) {
        series.samples.push(sample);
    }
    series.seen += 1;
    if series.samples.len() > MOST_SAMPLES {
        let mut keep = false;
        series.samples.retain(|_| {
            keep = !keep;
            keep
        });
        series.stride = series.stride.saturating_mul(2);
    }
}

/// The series that shows live memory best: not a peak, not reserved, then the longest.
fn choose(series: HashMap<String, Series>) -> Vec<MemorySample> {
    series
        .into_iter()
        .filter(|(_, series)| series.samples.len() >= 2)
        .max_by_key(|(key, series)| {
            (worth(key), series.samples.len(), std::cmp::Reverse(key.clone()))
        })
        .map(|(_, series)| series.samples)
        .unwrap_or_default()
}

fn worth(key: &str) -> u8 {
    let has = |word: &str| key.contains(word);
    let is_peak = has("max") || has("peak");
    match (is_peak, has("reserved") || has("cached") || has("total"), has("alloc")) {
        (false, false, true) => 5,
        (false, false, false) => 4,
        (true, false, _) => 2,
        (false, true, _) => 1,
        (true, true, _) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::read_samples;
    use oomscope_model::Bytes;

    fn series(text: &str) -> Vec<(Option<u64>, u64)> {
        let in_mib = |bytes: Bytes| bytes.0 >> 20;
        read_samples(text).iter().map(|sample| (sample.step, in_mib(sample.bytes))).collect()
    }

    #[test]
    fn every_way_to_print_a_figure_is_read() {
        for (text, expected) in [
            (
                "step 0 loss 1.0 mem 100MB\nstep 10 loss 1.0 mem 200MB\n",
                vec![(Some(0), 100), (Some(10), 200)],
            ),
            (
                "batch 1 allocated 1.50 GiB\nbatch 2 allocated 2.00 GiB\n",
                vec![(Some(1), 1536), (Some(2), 2048)],
            ),
            (
                "step 3 alloc 2325 reserved 538\nstep 6 alloc 2400 reserved 2300\n",
                vec![(Some(3), 2325), (Some(6), 2400)],
            ),
            ("batch 1 415 MiB\nbatch 2 675 MiB\n", vec![(Some(1), 415), (Some(2), 675)]),
            (
                "epoch 1: 10%| 10/100 [00:01, mem=1.5G]\r epoch 1: 20%| 20/100 [00:02, mem=2.5G]\n",
                vec![(Some(1), 1536), (Some(1), 2560)],
            ),
        ] {
            assert_eq!(series(text), expected, "{text}");
        }
    }

    #[test]
    fn live_memory_is_preferred_over_its_peak() {
        let text = "step 1 max_mem 900 mem 100\nstep 2 max_mem 900 mem 150\n";
        assert_eq!(series(text), [(Some(1), 100), (Some(2), 150)]);
    }

    #[test]
    fn the_error_itself_is_no_sample() {
        let text = "CUDA out of memory. Tried to allocate 1.00 GiB\nthis process has 2.00 GiB memory in use\n";
        assert_eq!(series(text), []);
    }

    #[test]
    fn lines_are_numbered_from_one() {
        let samples = read_samples("hello\nstep 1 mem 10MB\n\nstep 2 mem 20MB");
        assert_eq!(samples.iter().map(|sample| sample.line).collect::<Vec<_>>(), [2, 4]);
    }
}
