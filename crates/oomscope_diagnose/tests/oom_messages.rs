//! Real out-of-memory texts: the first cause is one that a fair expert accepts, and where the
//! text does not decide, nothing is claimed.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

use std::path::PathBuf;

use oomscope_diagnose::{diagnose, log};
use oomscope_model::{Cause, Evidence, Verdict};
use serde_json::Value;

fn shared(part: &str) -> Option<PathBuf> {
    let base = std::env::var_os("OOMSCOPE_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = base.join(part);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {part} of the shared data is not here");
    None
}

#[test]
fn the_first_cause_of_a_text_is_acceptable_or_undecided() {
    let Some(folder) = shared("data/oom_messages") else { return };
    let labels = std::fs::read_to_string(folder.join("labels.json")).expect("labels");
    let labels: Vec<Value> = serde_json::from_str(&labels).expect("JSON");
    let (mut determinable, mut first, mut first_three) = (0, 0, 0);
    let (mut open, mut open_claimed_wrongly) = (0, Vec::new());
    for label in &labels {
        let file = label["file"].as_str().expect("a name");
        let text = String::from_utf8_lossy(&std::fs::read(folder.join(file)).expect("a text"))
            .into_owned();
        let evidence = Evidence { logs: vec![log::read(file, &text)], ..Evidence::default() };
        let diagnosis = diagnose(&evidence);
        let names: Vec<&str> = diagnosis
            .causes
            .iter()
            .filter(|assessment| assessment.confidence.as_percent() > 0)
            .map(|assessment| assessment.cause.name())
            .collect();
        let acceptable = |name: &&str| {
            label["acceptable"]
                .as_array()
                .is_some_and(|names| names.iter().any(|other| other == name))
        };
        if label["determinable"] == true {
            determinable += 1;
            first += usize::from(names.first().is_some_and(acceptable));
            first_three += usize::from(names.iter().take(3).any(acceptable));
            if !names.first().is_some_and(acceptable) {
                println!(
                    "{file}: {:?}, acceptable {}",
                    &names[..names.len().min(3)],
                    label["acceptable"]
                );
            }
        } else {
            open += 1;
            let claims =
                matches!(diagnosis.verdict, Verdict::Claimed(cause) if cause != Cause::Unknown);
            if claims && !names.first().is_some_and(acceptable) {
                open_claimed_wrongly.push(file.to_owned());
            }
            assert!(
                claims || !diagnosis.escalation.is_empty(),
                "{file} is open and names nothing to capture"
            );
        }
    }
    println!(
        "determinable: first {first}/{determinable}, in three {first_three}/{determinable}; open: {} of {open} claimed wrongly",
        open_claimed_wrongly.len()
    );
    assert!(first * 100 >= determinable * 88);
    assert!(first_three * 100 >= determinable * 97);
    assert!(open_claimed_wrongly.is_empty(), "{open_claimed_wrongly:?}");
}
