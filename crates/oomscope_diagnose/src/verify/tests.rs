use oomscope_model::Bytes;
use proptest::prelude::*;

use super::Verdict::{Failed, Growing, Stable, TooShort};
use super::{Judgement, Point, Question, WarmupReason, judge};

const BASE: u64 = 100 << 20;

/// Deterministic noise, uniform from 0 to `range` (exclusive), by `SplitMix64`.
fn noise(seed: u64, index: u64, range: u64) -> u64 {
    let mut state =
        (seed << 32).wrapping_add(index).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (state ^ (state >> 31)) % range.max(1)
}

/// Steps 1 to `count` with a floor above [`BASE`] and a peak 50 MiB above the floor.
fn floors(count: u64, floor: impl Fn(u64) -> u64) -> Vec<Point> {
    points(count, &floor, |step| floor(step) + (50 << 20))
}

fn points(count: u64, floor: impl Fn(u64) -> u64, peak: impl Fn(u64) -> u64) -> Vec<Point> {
    (1..=count)
        .map(|step| Point {
            step,
            stride: 1,
            allocated: Bytes(BASE + floor(step)),
            peak: Bytes(BASE + peak(step).max(floor(step))),
            reserved: None,
        })
        .collect()
}

fn judged(points: &[Point]) -> Judgement {
    judge(points, &Question::default())
}

fn kib(count: u64) -> u64 {
    count << 10
}

#[test]
fn every_kind_of_series_has_its_verdict() {
    let table: Vec<(&str, Vec<Point>, super::Verdict)> = vec![
        ("nothing", Vec::new(), TooShort),
        ("three steps", floors(3, |_| 0), TooShort),
        ("flat from the first step", floors(4, |_| 0), Stable),
        (
            "optimizer state in step 1",
            floors(4, |step| if step == 1 { 0 } else { kib(900) }),
            Stable,
        ),
        (
            "more at the first step than ever after",
            floors(5, |step| if step == 1 { kib(900) } else { 0 }),
            Stable,
        ),
        ("linear", floors(4, |step| kib(4) * step), Growing),
        (
            "linear after warm-up",
            floors(5, |step| if step == 1 { 0 } else { kib(9000) + kib(4) * step }),
            Growing,
        ),
        (
            "linear, two steps after warm-up",
            floors(3, |step| if step == 1 { 0 } else { kib(9000) + kib(4) * step }),
            TooShort,
        ),
        ("linear by 512 bytes", floors(50, |step| 512 * step), Growing),
        (
            "warm-up caches in shrinking steps, then flat",
            floors(20, |step| [0, 900, 1200, 1300, 1340][(step as usize - 1).min(4)]),
            Stable,
        ),
        (
            "warm-up caches in shrinking steps, still",
            floors(5, |step| [0, 900, 1200, 1300, 1340][(step as usize - 1).min(4)]),
            TooShort,
        ),
        ("staircase every 10", floors(45, |step| kib(64) * (step / 10)), Growing),
        ("staircase every 10, two rises", floors(25, |step| kib(64) * (step / 10)), TooShort),
        ("staircase of 100 every 1000", floors(5000, |step| kib(100) * (step / 1000)), Growing),
        (
            "staircase on uneven steps",
            floors(100, |step| {
                kib(64)
                    * [10, 22, 29, 43, 51, 66, 74, 88, 95].iter().filter(|at| **at <= step).count()
                        as u64
            }),
            Growing,
        ),
        (
            "staircase with noise below",
            floors(400, |step| kib(640) * (step / 10) + noise(1, step, kib(64))),
            Growing,
        ),
        ("sawtooth of 20, five teeth", floors(105, |step| kib(16) * (step % 20)), Stable),
        ("sawtooth of 20, first tooth", floors(15, |step| kib(16) * (step % 20)), Growing),
        ("sawtooth of 20, one return", floors(30, |step| kib(16) * (step % 20)), TooShort),
        (
            "sawtooth whose floors rise",
            floors(200, |step| kib(16) * (step % 20) + kib(4) * (step / 20)),
            Growing,
        ),
        (
            "sawtooth of uneven teeth",
            floors(200, |step| {
                let at = [0, 18, 41, 59, 80, 103, 121, 140, 163, 181, 999];
                let last = at.iter().rfind(|a| **a <= step).copied().unwrap_or(0);
                kib(16) * (step - last)
            }),
            Stable,
        ),
        (
            "evaluation spikes",
            floors(60, |step| if step % 10 == 0 { kib(9000) } else { 0 }),
            Stable,
        ),
        (
            "evaluation spikes over a leak",
            floors(60, |step| kib(4) * step + if step % 10 == 0 { kib(9000) } else { 0 }),
            Growing,
        ),
        (
            "dips when checkpointing",
            floors(65, |step| if step % 10 == 0 { 0 } else { kib(9000) }),
            Stable,
        ),
        (
            "dips over a leak",
            floors(65, |step| kib(64) * step + if step % 10 == 0 { 0 } else { kib(9000) }),
            Growing,
        ),
        ("noise, 200 steps", floors(200, |step| noise(2, step, kib(4096))), Stable),
        ("noise, 10 steps", floors(10, |step| noise(3, step, kib(4096))), TooShort),
        ("noise of few values", floors(30, |step| 512 * noise(4, step, 4)), Stable),
        (
            "noise over a leak",
            floors(200, |step| noise(5, step, kib(4096)) + kib(64) * step),
            Growing,
        ),
        ("level shift early", floors(40, |step| if step > 10 { kib(900) } else { 0 }), Stable),
        ("level shift late", floors(40, |step| if step > 30 { kib(900) } else { 0 }), TooShort),
        (
            "level shift amid noise",
            floors(400, |step| noise(6, step, kib(64)) + if step > 100 { kib(900) } else { 0 }),
            Stable,
        ),
        ("late growth", floors(120, |step| kib(4) * step.saturating_sub(100)), Growing),
        (
            "late growth amid noise",
            floors(400, |step| noise(7, step, kib(64)) + kib(8) * step.saturating_sub(300)),
            Growing,
        ),
        ("cache up to a bound", floors(120, |step| kib(300) * step.min(30)), Stable),
        ("cache up to a bound, just reached", floors(35, |step| kib(300) * step.min(30)), TooShort),
        (
            "random lengths, peaks alone",
            points(60, |_| 0, |step| kib(512) * noise(8, step, 64)),
            Stable,
        ),
        (
            "longer and longer, then no more",
            points(80, |_| 0, |step| kib(512) * step.min(30)),
            Stable,
        ),
        ("longer and longer without end", points(40, |_| 0, |step| kib(512) * step), Growing),
        (
            "evaluation peaks that grow",
            points(
                100,
                |_| 0,
                |step| if step % 10 == 0 { kib(9000) + kib(50) * step } else { kib(100) },
            ),
            Growing,
        ),
        ("shrinking", floors(50, |step| kib(900) - kib(4) * step), Stable),
        ("a million steps, flat", floors(1_000_000, |_| 0), Stable),
        (
            "a million steps, a leak of 512 bytes in 100",
            floors(1_000_000, |step| 512 * (step / 100)),
            Growing,
        ),
        ("a million steps, noise", floors(1_000_000, |step| noise(9, step, kib(4096))), Stable),
    ];
    let wrong: Vec<String> = table
        .iter()
        .map(|(name, points, expected)| (name, judged(points), expected))
        .filter(|(_, judgement, expected)| judgement.verdict != **expected)
        .map(|(name, judgement, expected)| {
            format!("{name}: not {expected:?} but {:?} {:?}", judgement.verdict, judgement.evidence)
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_even_leak_is_known_to_the_byte_and_so_is_its_end() {
    let points = floors(20, |step| kib(64) * step);
    let capacity = Some(points[19].peak + Bytes(kib(640)));
    let judgement = judge(&points, &Question { capacity, failed: false });
    let slope = judgement.slope.expect("it grows");
    assert_eq!((slope.low, slope.bytes_per_step, slope.high), (65536.0, 65536.0, 65536.0));
    let fails = judgement.fails_at.expect("the capacity is known");
    assert_eq!((fails.step, fails.earliest, fails.latest), (30, 30, Some(30)));
}

#[test]
fn the_slope_of_a_noisy_leak_lies_in_its_interval() {
    let judgement = judged(&floors(300, |step| noise(11, step, kib(4096)) + kib(64) * step));
    let slope = judgement.slope.expect("it grows");
    assert!(slope.low <= 65536.0 && 65536.0 <= slope.high, "{slope:?}");
    assert!(slope.low > 50_000.0 && slope.high < 80_000.0, "{slope:?}");
}

#[test]
fn growth_that_begins_late_names_its_step() {
    let judgement = judged(&floors(120, |step| kib(4) * step.saturating_sub(100)));
    assert_eq!(judgement.change_point, Some(100));
    assert_eq!(judgement.warmup.why, WarmupReason::FlatBefore);
    let noisy =
        judged(&floors(400, |step| noise(7, step, kib(64)) + kib(8) * step.saturating_sub(300)));
    let found = noisy.change_point.expect("it begins late");
    assert!((280..=320).contains(&found), "{found}");
}

#[test]
fn warm_up_is_found_and_counted() {
    for (until, why) in
        [(0, WarmupReason::None), (1, WarmupReason::FirstSteps), (9, WarmupReason::SettledLater)]
    {
        let judgement = judged(&floors(60, |step| if step <= until { 0 } else { kib(900) }));
        assert_eq!((judgement.warmup.steps, judgement.warmup.why), (until, why));
        assert_eq!(judgement.verdict, Stable);
    }
}

#[test]
fn what_repeats_is_named() {
    let judgement = judged(&floors(60, |step| if step % 10 == 0 { kib(9000) } else { 0 }));
    assert_eq!(judgement.period, Some(10));
    let leak =
        judged(&floors(60, |step| kib(4) * step + if step % 10 == 0 { kib(9000) } else { 0 }));
    assert_eq!(leak.period, Some(10));
}

#[test]
fn a_failure_stays_one_and_keeps_its_slope() {
    let question = Question { capacity: None, failed: true };
    let judgement = judge(&floors(10, |step| kib(64) * step), &question);
    assert_eq!(judgement.verdict, Failed);
    assert_eq!(judgement.slope.map(|slope| slope.bytes_per_step), Some(65536.0));
}

#[test]
fn reserved_memory_that_grows_alone_is_told_apart() {
    let mut points = floors(60, |_| 0);
    for point in &mut points {
        point.reserved = Some(Bytes((200 << 20) + (2 << 20) * (point.step / 5)));
    }
    let judgement = judged(&points);
    assert_eq!(judgement.verdict, Stable);
    assert!(judgement.reserved_growing.is_some_and(|slope| slope.bytes_per_step > 400_000.0));
}

#[test]
fn a_run_near_its_capacity_must_be_surer() {
    let points = floors(200, |step| noise(2, step, kib(4096)));
    let peak = points.iter().map(|point| point.peak).max().expect("there are points");
    let tight = Question { capacity: Some(peak + Bytes(kib(64))), failed: false };
    assert_eq!(judge(&points, &tight).verdict, TooShort);
    let roomy = Question { capacity: Some(Bytes::from_gib(80)), failed: false };
    assert_eq!(judge(&points, &roomy).verdict, Stable);
}

#[test]
fn a_thinned_record_is_judged_as_the_whole() {
    let whole = floors(4000, |step| kib(4) * step);
    let thinned: Vec<Point> = whole
        .iter()
        .filter(|point| {
            point.step < 500 || (point.step < 1500 && point.step % 2 == 0) || point.step % 4 == 0
        })
        .copied()
        .collect();
    let judgement = judged(&thinned);
    assert_eq!(judgement.verdict, Growing);
    assert!(judgement.slope.is_some_and(|slope| (slope.bytes_per_step - 4096.0).abs() < 1.0));
}

/// A stationary series that is shuffled is growing in at most one case in a hundred.
#[test]
fn chance_is_called_growth_no_more_often_than_stated() {
    let mut growing = 0;
    for seed in 0..1000 {
        let count = 8 + noise(seed, 5000, 120);
        let points = points(
            count,
            |step| noise(seed, step, kib(4096)),
            |step| kib(8192) + noise(seed + 5000, step, kib(4096)),
        );
        growing += usize::from(judged(&points).verdict == Growing);
    }
    assert!(growing <= 10, "{growing} of 1000");
}

proptest! {
    #[test]
    fn a_constant_more_changes_no_verdict(
        values in proptest::collection::vec(0..40_u64, 0..80), more in 0..1_u64 << 40
    ) {
        let make = |more: u64| floors(values.len() as u64, |step| 512 * values[step as usize - 1] + more);
        let (plain, shifted) = (judged(&make(0)), judged(&make(more)));
        prop_assert_eq!(plain.verdict, shifted.verdict);
        prop_assert_eq!(plain.slope, shifted.slope);
    }

    #[test]
    fn a_factor_scales_the_slope_by_itself(
        values in proptest::collection::vec(0..1000_u64, 0..60), factor in 2..1000_u64
    ) {
        let make = |factor: u64| points(
            values.len() as u64,
            |step| (values[step as usize - 1] + 20 * step) * factor,
            |step| (values[step as usize - 1] + 20 * step) * factor,
        );
        let (plain, scaled) = (judged(&make(1024)), judged(&make(1024 * factor)));
        prop_assert_eq!(plain.verdict, scaled.verdict);
        if let (Some(plain), Some(scaled)) = (plain.slope, scaled.slope) {
            let wanted = plain.bytes_per_step * factor as f64;
            prop_assert!((scaled.bytes_per_step - wanted).abs() <= wanted.abs() * 1e-6 + 1.0);
        }
    }

    #[test]
    fn a_leak_over_noise_is_never_stable(
        seed in 0..1_000_000_u64, count in 4..400_u64, range in 1..1_u64 << 26, times in 150..1000_u64
    ) {
        // Over the run it comes to one and a half times the noise or more.
        let slope = (range * times / 100 / count).max(1);
        let points = floors(count, |step| noise(seed, step, range) + slope * step);
        prop_assert_ne!(judged(&points).verdict, Stable);
    }

    #[test]
    fn a_staircase_leak_is_never_stable(
        every in 1..60_u64, count in 4..400_u64, size in 1..1000_u64, eval in 0..3_u64
    ) {
        prop_assume!(count > every);
        let spike = |step: u64| if eval > 0 && step.is_multiple_of(7 * eval) { kib(3000) } else { 0 };
        let points = floors(count, |step| 512 * size * (step / every) + spike(step));
        prop_assert_ne!(judged(&points).verdict, Stable);
    }

    #[test]
    fn no_series_makes_the_judge_panic(
        steps in proptest::collection::vec(
            (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<Option<u64>>()), 0..60),
        capacity in any::<Option<u64>>()
    ) {
        let points: Vec<Point> = steps
            .into_iter()
            .map(|(step, stride, allocated, peak, reserved)| Point {
                step, stride, allocated: Bytes(allocated), peak: Bytes(peak), reserved: reserved.map(Bytes),
            })
            .collect();
        let mut sorted = points.clone();
        sorted.sort_by_key(|point| point.step);
        for points in [points, sorted] {
            judge(&points, &Question { capacity: capacity.map(Bytes), failed: false });
        }
    }
}
