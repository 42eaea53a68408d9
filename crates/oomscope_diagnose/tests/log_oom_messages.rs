//! Real out-of-memory texts against their labels: which stated figures are read, by the rules of
//! the corpus's own scorer. Skips where the corpus is absent.

#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

use std::fs;
use std::path::PathBuf;

use oomscope_diagnose::log::{primary_failure, read};
use oomscope_model::{Bytes, MemoryError, OtherProcess};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Right,
    Wrong,
    Missing,
    Spurious,
    NothingToJudge,
}

fn corpus() -> Option<PathBuf> {
    let shared = std::env::var_os("OOMSCOPE_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("data/oom_messages");
    if folder.join("labels.json").exists() {
        return Some(folder);
    }
    println!("skipped: {} has no labels.json", folder.display());
    None
}

/// The figures under the names that the labels use.
fn figure(memory: &MemoryError, key: &str) -> Option<f64> {
    let bytes = match key {
        "requested_bytes" => memory.requested,
        "capacity_bytes" => memory.capacity,
        "free_bytes" => memory.free,
        "this_process_bytes" => memory.this_process,
        "allocated_bytes" => memory.allocated,
        "reserved_unallocated_bytes" => memory.reserved_unallocated,
        "reserved_bytes" => memory.reserved,
        "private_pool_bytes" => memory.private_pool,
        "cap_bytes" => memory.cap,
        _ => return memory.device_index.map(f64::from),
    };
    bytes.map(|Bytes(count)| count as f64)
}

const FIGURES: [&str; 10] = [
    "requested_bytes",
    "device_index",
    "capacity_bytes",
    "free_bytes",
    "this_process_bytes",
    "allocated_bytes",
    "reserved_unallocated_bytes",
    "reserved_bytes",
    "private_pool_bytes",
    "cap_bytes",
];

fn close(got: f64, want: f64, tolerance: f64, is_exact: bool) -> bool {
    if is_exact {
        (got - want).abs() < f64::EPSILON
    } else {
        (got - want).abs() <= (want.abs() * 0.01).max(tolerance)
    }
}

fn judge_figure(row: &Value, key: &str, got: Option<f64>) -> Verdict {
    let want = row["facts"][key].as_f64();
    let lenient = row["facts_lenient"][key].as_array().cloned().unwrap_or_default();
    let alternative = row["facts_alt"].as_object().and_then(|alternatives| alternatives.get(key));
    let is_exact = key == "device_index";
    let Some(got) = got else {
        return if want.is_none()
            || lenient.iter().any(Value::is_null)
            || alternative.is_some_and(Value::is_null)
        {
            Verdict::NothingToJudge
        } else {
            Verdict::Missing
        };
    };
    let tolerance = row["facts_tolerance"][key].as_f64().unwrap_or(0.0);
    if lenient.iter().filter_map(Value::as_f64).any(|value| close(got, value, tolerance, is_exact))
    {
        return if want.is_some() { Verdict::Right } else { Verdict::NothingToJudge };
    }
    if let Some(want) = want {
        return if close(got, want, tolerance, is_exact) { Verdict::Right } else { Verdict::Wrong };
    }
    let derivable = &row["facts_derivable"][key];
    match (derivable["value"].as_f64(), derivable["tol"].as_f64()) {
        (Some(value), Some(tolerance)) if close(got, value, tolerance, false) => {
            Verdict::NothingToJudge
        }
        _ => Verdict::Spurious,
    }
}

fn same_processes(got: &[OtherProcess], want: &Value) -> bool {
    let Some(want) = want.as_array() else { return false };
    want.len() == got.len()
        && want.iter().all(|process| {
            let bytes = process["bytes"].as_f64().unwrap_or(0.0);
            let tolerance = if bytes >= 1_073_741_824.0 { 0.005 * 1_073_741_824.0 } else { 0.0 };
            got.iter().any(|found| {
                Some(found.pid) == process["pid"].as_u64()
                    && found
                        .bytes
                        .is_some_and(|Bytes(got)| close(got as f64, bytes, tolerance, false))
            })
        })
}

fn judge_processes(row: &Value, got: &[OtherProcess]) -> Verdict {
    let want = &row["facts"]["other_processes"];
    let has_want = want.as_array().is_some_and(|list| !list.is_empty());
    let alternative = &row["facts_alt"]["other_processes"];
    if got.is_empty() {
        return if has_want { Verdict::Missing } else { Verdict::NothingToJudge };
    }
    let is_same = same_processes(got, want) || same_processes(got, alternative);
    match (is_same, has_want) {
        (true, true) => Verdict::Right,
        (true, false) => Verdict::NothingToJudge,
        (false, true) => Verdict::Wrong,
        (false, false) => Verdict::Spurious,
    }
}

fn judge_named(row: &Value, memory: &MemoryError) -> [(&'static str, Verdict); 2] {
    let accepts = |key: &str, value: &Value| {
        row[key].as_array().is_some_and(|accepted| accepted.contains(value))
    };
    let is_memory = Value::Bool(memory.is_memory_error);
    let kind =
        if accepts("is_memory_error_accept", &is_memory) { Verdict::Right } else { Verdict::Wrong };
    let framework = match memory.framework {
        Some(framework) if accepts("framework_accept", &Value::from(framework.name())) => {
            Verdict::Right
        }
        Some(_) => Verdict::Wrong,
        None if !memory.is_memory_error
            && accepts("is_memory_error_accept", &Value::Bool(false)) =>
        {
            Verdict::NothingToJudge
        }
        None => Verdict::Missing,
    };
    [("is_memory_error", kind), ("framework", framework)]
}

#[test]
fn stated_figures_are_read_from_nearly_every_real_text() {
    let Some(folder) = corpus() else { return };
    let labels = fs::read_to_string(folder.join("labels.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&labels).unwrap();
    let (mut right, mut wrong, mut spurious) = (0, 0, 0);
    let mut clean = 0;
    for row in &rows {
        let name = row["file"].as_str().unwrap();
        let bytes = fs::read(folder.join(name)).unwrap();
        let evidence = read(name, &String::from_utf8_lossy(&bytes));
        let memory = primary_failure(&evidence.failures).and_then(|failure| failure.memory.clone());
        let Some(memory) = memory else {
            println!("{name}: no failure found");
            wrong += 3;
            continue;
        };
        let mut verdicts: Vec<(&str, Verdict)> = FIGURES
            .iter()
            .map(|key| (*key, judge_figure(row, key, figure(&memory, key))))
            .collect();
        verdicts.push(("other_processes", judge_processes(row, &memory.other_processes)));
        verdicts.extend(judge_named(row, &memory));
        let misses = wrong;
        for (key, verdict) in verdicts {
            match verdict {
                Verdict::Right => right += 1,
                Verdict::Wrong | Verdict::Missing => wrong += 1,
                Verdict::Spurious => spurious += 1,
                Verdict::NothingToJudge => continue,
            }
            if verdict != Verdict::Right {
                let got = figure(&memory, key);
                println!("{name}: {key} {verdict:?}, got {got:?}, want {}", row["facts"][key]);
            }
        }
        clean += usize::from(misses == wrong);
        if std::env::var_os("OOMSCOPE_PRINT").is_some() {
            for failure in &evidence.failures {
                println!(
                    "  {name} L{} {} caught={} follows={} phase={:?} frames={}",
                    failure.line,
                    failure.exception,
                    failure.caught,
                    failure.follows_another,
                    failure.phase,
                    failure.traceback.len()
                );
            }
            for signal in &evidence.signals {
                println!("    {:?} L{} {}", signal.kind, signal.line, signal.what);
            }
            println!("    want {}", row["acceptable"]);
        }
    }
    let share = f64::from(right) / f64::from(right + wrong).max(1.0);
    println!(
        "{right} right, {wrong} wrong or missing, {spurious} spurious: {:.1} %",
        share * 100.0
    );
    println!("{clean} of {} texts with every fact right", rows.len());
    assert!(share >= 0.97, "only {:.1} % of the stated figures are right", share * 100.0);
    assert!(spurious <= 3, "{spurious} figures were made up");
}
