//! Small programs run under real PyTorch of four versions: the final state agrees with the
//! allocator's own counters, and the planted cause is first in every one that failed.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

mod common;

use std::path::Path;

/// What each failing case was made to show; the first is the planted cause.
const PLANTED: &[(&str, &[&str])] = &[
    ("b_leak_losses", &["graph-retained"]),
    ("d_eval_outputs", &["eval-records-graph", "outputs-accumulated"]),
    ("e_fragment", &["fragmentation"]),
    ("e2_fragment_train", &["fragmentation"]),
    ("e2_fragment_train_expandable", &["activations-too-large"]),
    ("f_giant_logits", &["oversized-allocation"]),
    ("g_optimizer_state", &["optimizer-state"]),
    ("i_other_process", &["other-process"]),
    ("o_fraction", &["memory-cap"]),
    ("r_two_gpus", &["graph-retained"]),
    ("s_catch_retry", &["activations-too-large", "oversized-allocation"]),
    ("t_oom_observer", &["graph-retained"]),
];

#[test]
fn the_planted_cause_is_first_in_every_case_that_failed() {
    let (Some(cases), Some(sources)) =
        (common::shared("data/cases"), common::shared("tools/vgpu/cases"))
    else {
        return;
    };
    let mut wrong = Vec::new();
    let mut judged = 0;
    for version in folders(&cases) {
        for case in folders(&version) {
            let name = case.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some((_, planted)) = PLANTED.iter().find(|(planted, _)| *planted == name) else {
                continue;
            };
            let script = sources.join(format!("{}.py", name.trim_end_matches("_expandable")));
            let library = sources.join("common.py");
            let inputs: Vec<_> = [
                case.join("stdout.txt"),
                case.join("stderr.txt"),
                case.join("snapshot.pickle"),
                script,
                library,
            ]
            .into_iter()
            .filter(|path| path.metadata().is_ok_and(|metadata| metadata.len() > 0))
            .collect();
            let diagnosis =
                common::diagnose_json(&inputs.iter().map(AsRef::as_ref).collect::<Vec<&Path>>());
            let names = common::cause_names(&diagnosis);
            judged += 1;
            let line = format!(
                "{}/{name}: {:?}",
                version.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
                &names[..names.len().min(3)]
            );
            println!("{line}");
            if !planted.contains(&names.first().map_or("", String::as_str)) {
                wrong.push(line);
            }
        }
    }
    assert!(judged >= 30, "only {judged} cases were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_is_claimed_about_a_run_that_went_well() {
    let Some(cases) = common::shared("data/cases") else { return };
    for version in folders(&cases) {
        for name in [
            "a_healthy",
            "a_healthy_expandable",
            "h_two_streams",
            "j_cudagraph",
            "k_mempool",
            "l_ring",
            "e_fragment_expandable",
        ] {
            let snapshot = version.join(name).join("snapshot.pickle");
            if !snapshot.exists() {
                continue;
            }
            let diagnosis = common::diagnose_json(&[&snapshot]);
            let confidence = diagnosis["causes"][0]["confidence"].as_f64().unwrap_or(0.0);
            assert!(
                confidence < 0.5,
                "{}: {:?}",
                snapshot.display(),
                common::cause_names(&diagnosis)
            );
        }
    }
}

fn folders(root: &Path) -> Vec<std::path::PathBuf> {
    let mut folders: Vec<_> = std::fs::read_dir(root)
        .expect("the folder is there")
        .filter_map(|entry| Some(entry.ok()?.path()).filter(|path| path.is_dir()))
        .collect();
    folders.sort();
    folders
}
