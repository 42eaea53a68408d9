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
                if Some(ours) == truth["true_params"].as_u64() {
                    exact += 1;
                } else {
                    wrong.push(format!("{model}: {ours} for {}", truth["true_params"]));
                }
            }
            Err(error) => println!("{model}: {error}"),
        }
    }
    println!("{exact} exact");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
