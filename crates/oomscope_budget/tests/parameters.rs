//! Parameters of public configurations, beside the true numbers.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)] // tests read files and say what they skip

use std::path::PathBuf;

use oomscope_budget::{Weight, read_config, weights};
use serde_json::Value;

#[test]
fn parameters_are_exact() {
    let shared = std::env::var_os("OOMSCOPE_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("data/configs");
    let Ok(truths) = std::fs::read_to_string(folder.join("true_params.jsonl")) else {
        eprintln!("skipped: there are no public configurations beside the project");
        return;
    };
    let mut wrong = Vec::new();
    let mut exact = 0;
    for line in truths.lines() {
        let truth: Value = serde_json::from_str(line).expect("truths are JSON");
        let model = truth["model"].as_str().expect("a name");
        let text = std::fs::read_to_string(folder.join(format!("{model}.json"))).expect("a file");
        match read_config(&text) {
            Ok(config) => {
                let ours: u64 = weights(&config.architecture).iter().map(Weight::elements).sum();
                match truth["true_params"].as_u64() {
                    None => println!("{model}: {ours}, the truth is not known"),
                    Some(true_count) if true_count == ours => exact += 1,
                    Some(true_count) => wrong.push(format!("{model}: {ours} for {true_count}")),
                }
            }
            Err(error) => println!("{model}: {error}"),
        }
    }
    println!("{exact} exact");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Small configurations of many families; their parameters counted by transformers 5.23 on the
/// meta device (`AutoModelForCausalLM.from_config`).
#[test]
fn parameters_of_small_configurations_are_exact() {
    let all: Value = serde_json::from_str(include_str!("families.json")).expect("JSON");
    let mut wrong = Vec::new();
    for row in all.as_array().expect("a list") {
        let family = &row["config"]["model_type"];
        match read_config(&row["config"].to_string()) {
            Ok(config) => {
                let ours: u64 = weights(&config.architecture).iter().map(Weight::elements).sum();
                if Some(ours) != row["parameters"].as_u64() {
                    wrong.push(format!("{family}: {ours} for {}", row["parameters"]));
                }
            }
            Err(error) => wrong.push(format!("{family}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
