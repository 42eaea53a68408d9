//! Real series, recorded step by step from PyTorch's allocator, and the verdict of each.

use oomscope_diagnose::verify::{Judgement, Point, Question, Verdict, judge};
use oomscope_model::Bytes;
use serde_json::Value;

/// Name in `tests/series`, verdict, and bytes a step where it grows.
const CASES: [(&str, Verdict, Option<f64>); 19] = [
    ("plain_12", Verdict::Stable, None),
    ("accumulate_12", Verdict::Stable, None),
    ("accumulate_steps_24", Verdict::Stable, None),
    ("varying_60", Verdict::Stable, None),
    ("longer_80", Verdict::Stable, None),
    ("eval_clean_45", Verdict::Stable, None),
    ("eval_held_45", Verdict::Stable, None),
    ("epoch_leak_70", Verdict::Stable, None),
    ("cache_200", Verdict::Stable, None),
    ("ring_60", Verdict::Stable, None),
    ("late_optimizer_40", Verdict::Stable, None),
    // A pool of random sizes fills until step 12 and then wavers: 80 steps leave a leak room.
    ("fragment_80", Verdict::TooShort, None),
    ("leak_losses_8", Verdict::Growing, Some(512.0)),
    ("leak_losses_30", Verdict::Growing, Some(512.0)),
    ("leak_graph_20", Verdict::Growing, Some(807.0 * 512.0)),
    ("leak_late_60", Verdict::Growing, Some(512.0)),
    ("varying_leak_80", Verdict::Growing, Some(65536.0)),
    ("eval_leak_65", Verdict::Growing, Some(1024.0 * 512.0 / 10.0)),
    // The floor is flat, the sequences grow by four tokens a step.
    ("curriculum_30", Verdict::Growing, None),
];

fn points(name: &str) -> Vec<Point> {
    let path = format!("{}/tests/series/{name}.json", env!("CARGO_MANIFEST_DIR"));
    #[expect(clippy::disallowed_methods, reason = "a test reads its own data")]
    let text = std::fs::read_to_string(path).expect("the series is there");
    let series: Value = serde_json::from_str(&text).expect("the series is JSON");
    let column = |key: &str| -> Vec<Bytes> {
        let column = series[key].as_array().expect("a column");
        column.iter().map(|bytes| Bytes(bytes.as_u64().expect("bytes"))).collect()
    };
    let (allocated, peak, reserved) = (column("allocated"), column("peak"), column("reserved"));
    (0..allocated.len())
        .map(|index| Point {
            step: index as u64 + 1,
            stride: 1,
            allocated: allocated[index],
            peak: peak[index],
            reserved: Some(reserved[index]),
        })
        .collect()
}

fn judged(points: &[Point]) -> Judgement {
    judge(points, &Question::default())
}

#[test]
fn real_series_have_their_verdicts() {
    for (name, verdict, slope) in CASES {
        let judgement = judged(&points(name));
        println!("{name}: {:?}", judgement.verdict);
        for reason in &judgement.evidence {
            println!("    {reason}");
        }
        assert_eq!(judgement.verdict, verdict, "{name}: {judgement:#?}");
        if let (Some(wanted), Some(found)) = (slope, judgement.slope) {
            assert!((found.bytes_per_step - wanted).abs() < 1e-6, "{name}: {found:?}");
        }
    }
}

#[test]
fn only_the_leak_that_began_late_has_a_change_point() {
    for (name, ..) in CASES {
        let found = judged(&points(name)).change_point;
        assert_eq!(found, (name == "leak_late_60").then_some(30), "{name}");
    }
}

#[test]
fn no_leak_is_called_stable_at_any_length() {
    for (name, verdict, _) in CASES {
        let points = points(name);
        // A late leak is none before it begins.
        let begins = if name == "leak_late_60" { 34 } else { 11 };
        if verdict != Verdict::Growing {
            continue;
        }
        for count in begins..=points.len() {
            let verdict = judged(&points[..count]).verdict;
            assert_ne!(verdict, Verdict::Stable, "{name} after {count} steps");
        }
    }
}
