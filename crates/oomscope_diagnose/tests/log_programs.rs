//! What failing programs printed: the failure's line, frames and phase. Skips where the corpus
//! of programs is absent.

#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

use std::fs;
use std::path::PathBuf;

use oomscope_diagnose::log::{Trend, primary_failure, read, trend};
use oomscope_model::SignalKind::Decisive;
use oomscope_model::{Cause, FrameOrigin, LogEvidence, Phase};

fn evidence(path: &str) -> Option<LogEvidence> {
    let shared = std::env::var_os("OOMSCOPE_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let file = shared.join("data").join(path);
    let Ok(bytes) = fs::read(&file) else {
        println!("skipped: {} is absent", file.display());
        return None;
    };
    Some(read(path, &String::from_utf8_lossy(&bytes)))
}

#[test]
fn each_traceback_leads_to_the_user_s_line_and_phase() {
    for (name, line, place, phase) in [
        ("02_fixmatch", 39, "train_ssl.py:35", Phase::Forward),
        ("07_seg_validate", 28, "unetlike.py:16", Phase::Evaluation),
        ("09_lm_eval", 16, "evaluate.py:60", Phase::Evaluation),
        ("13_robust_loop", 55, "train_asr.py:21", Phase::Forward),
        ("18_sharpness", 18, "train.py:33", Phase::Backward),
        ("22_lm_head", 12, "train.py:41", Phase::Loss),
        ("26_lookahead", 15, "optim.py:31", Phase::OptimizerStep),
        ("30_multiscale", 31, "refiner.py:12", Phase::Forward),
        ("33_multi_extract", 34, "extract.py:16", Phase::Forward),
        ("44_energy_model", 28, "ebm.py:14", Phase::Forward),
    ] {
        let Some(evidence) = evidence(&format!("programs/{name}/stderr.txt")) else { return };
        let failure = primary_failure(&evidence.failures).expect(name);
        let user = failure.traceback.iter().rev().find(|frame| frame.origin() == FrameOrigin::User);
        let user = user.map(|frame| {
            let place = frame.place();
            format!("{}:{}", place.file_name(), place.line)
        });
        assert_eq!(user.as_deref(), Some(place), "{name}");
        assert_eq!((failure.line, failure.phase), (line, phase), "{name}");
        assert!(!failure.caught && !failure.follows_another, "{name}");
    }
}

#[test]
fn caught_failures_are_found_in_what_the_program_printed() {
    let Some(tuner) = evidence("programs/19_autobatch/stdout.txt") else { return };
    assert_eq!(tuner.failures.iter().map(|f| f.line).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(tuner.failures.iter().all(|failure| failure.caught));
    let Some(story) = evidence("programs/36_story_gen/stdout.txt") else { return };
    assert_eq!(story.failures.iter().map(|f| (f.line, f.caught)).collect::<Vec<_>>(), [(4, true)]);
}

#[test]
fn a_healthy_program_has_no_failure() {
    for stream in ["stdout", "stderr"] {
        let Some(evidence) = evidence(&format!("programs/40_multitask_bptt/{stream}.txt")) else {
            return;
        };
        assert_eq!(evidence.failures, []);
        assert_eq!(evidence.signals, []);
    }
}

#[test]
fn printed_memory_and_warnings_become_evidence() {
    for (name, samples) in
        [("09_lm_eval", 6), ("18_sharpness", 7), ("26_lookahead", 4), ("44_energy_model", 7)]
    {
        let Some(evidence) = evidence(&format!("programs/{name}/stdout.txt")) else { return };
        assert_eq!(evidence.samples.len(), samples, "{name}");
        let grows = matches!(trend(&evidence), Some(Trend::Rises { .. }));
        assert_eq!(grows, name != "26_lookahead", "{name}");
    }
    let Some(warned) = evidence("programs/18_sharpness/stderr.txt") else { return };
    assert!(warned.signals.iter().any(|s| s.kind == Decisive(Cause::RetainedBackward)));
    let Some(ranks) = evidence("programs/33_multi_extract/stderr.txt") else { return };
    assert!(ranks.signals.iter().any(|s| s.kind == Decisive(Cause::RanksOnOneDevice)));
    assert_eq!(ranks.failures.iter().map(|f| f.rank).collect::<Vec<_>>(), [Some(0), Some(1)]);
}
