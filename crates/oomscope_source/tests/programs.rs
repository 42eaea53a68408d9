//! Whole programs with one planted cause each: is the culprit found, is the noise left alone?
#![allow(clippy::disallowed_methods, reason = "the test reads its data")]

use std::path::{Path, PathBuf};

use oomscope_model::{Finding, Severity};
use oomscope_source::{InputFile, analyse};

fn shared() -> PathBuf {
    std::env::var_os("OOMSCOPE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    )
}

fn sources(folder: &Path) -> Vec<InputFile> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .filter_map(|path| {
            let text = std::fs::read_to_string(path).ok()?;
            let name = path.file_name()?.to_string_lossy().into_owned();
            Some(InputFile { path: name, text })
        })
        .collect()
}

/// The `"file"` and `"line"` pairs of one array of a label, without a JSON reader.
fn places(label: &str, key: &str) -> Vec<(String, u32)> {
    let Some(array) = label.split(&format!("\"{key}\": [")).nth(1) else { return Vec::new() };
    let array = array.split("\n ]").next().unwrap_or_default();
    array
        .split("\"file\": \"")
        .skip(1)
        .filter_map(|entry| {
            let (file, rest) = entry.split_once('"')?;
            let line = rest.split("\"line\": ").nth(1)?;
            let digits: String = line.chars().take_while(char::is_ascii_digit).collect();
            Some((file.to_owned(), digits.parse().ok()?))
        })
        .collect()
}

fn is_at(finding: &Finding, places: &[(String, u32)]) -> bool {
    places.iter().any(|(file, line)| *file == finding.place.file && *line == finding.place.line)
}

#[test]
fn culprits_are_found_and_noise_is_left_alone() {
    let folder = shared().join("data/programs");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: no {}", folder.display());
        return;
    };
    // Their cause is no defect of a line: size, fragmentation, states.
    let not_in_source = ["activations-too-large", "optimizer-state", "fragmentation"];
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    for folder in folders {
        let Ok(label) = std::fs::read_to_string(folder.join("label.json")) else { continue };
        let found: Vec<Finding> = analyse(sources(&folder.join("src")))
            .files
            .into_iter()
            .flat_map(|file| file.findings)
            .collect();
        let (culprit, noise) = (places(&label, "culprit"), places(&label, "noise"));
        let hits: Vec<String> = found
            .iter()
            .filter(|finding| is_at(finding, &culprit))
            .map(|finding| format!("{} {}", finding.rule, finding.place))
            .collect();
        let at_noise: Vec<&Finding> = found.iter().filter(|f| is_at(f, &noise)).collect();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        println!(
            "{name:20} culprit {hits:?} noise {} others {}",
            at_noise.len(),
            found.len() - hits.len()
        );
        assert!(at_noise.iter().all(|f| f.severity == Severity::Note), "{name}: {at_noise:#?}");
        if label.contains("\"healthy\": true") {
            assert!(found.iter().all(|f| f.severity == Severity::Note), "{name}: {found:#?}");
        } else if !not_in_source.iter().any(|c| label.contains(&format!("\"cause\": \"{c}\""))) {
            assert!(!hits.is_empty(), "{name}: no finding at {culprit:?} but {found:#?}");
        }
        // What was mended is found no more.
        let mended = analyse(sources(&folder.join("fixed")));
        let left = mended.files.iter().flat_map(|file| &file.findings);
        let left: Vec<&Finding> = left.filter(|f| f.severity == Severity::Error).collect();
        assert!(left.is_empty(), "{name}, fixed: {left:#?}");
    }
}
