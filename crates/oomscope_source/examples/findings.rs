//! Prints the findings for files and folders: `cargo run --example findings -- PATH…`.
#![allow(clippy::disallowed_methods, clippy::print_stdout, missing_docs)]
use oomscope_source::{InputFile, analyse_with_problems};
use std::path::{Path, PathBuf};

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let Ok(entries) = std::fs::read_dir(path) else { return };
        let mut entries: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        entries.sort();
        for entry in &entries {
            collect(entry, files);
        }
    } else if path.extension().is_some_and(|e| e == "py" || e == "ipynb") {
        files.push(path.to_owned());
    }
}

fn main() {
    for root in std::env::args().skip(1) {
        let mut paths = Vec::new();
        collect(Path::new(&root), &mut paths);
        let files: Vec<InputFile> = paths
            .iter()
            .filter_map(|p| {
                let text = std::fs::read_to_string(p).ok()?;
                Some(InputFile { path: p.display().to_string(), text })
            })
            .collect();
        let bytes: usize = files.iter().map(|f| f.text.len()).sum();
        let start = std::time::Instant::now();
        let (evidence, problems) = analyse_with_problems(files);
        let seconds = start.elapsed().as_secs_f64();
        let mut count = 0;
        for finding in evidence.files.iter().flat_map(|f| &f.findings) {
            count += 1;
            println!(
                "{} {} {} {:?} {:?} {}",
                finding.place,
                finding.rule,
                finding.name,
                finding.severity,
                finding.held,
                finding.message
            );
            if std::env::var_os("PATHS").is_some() {
                for step in &finding.path {
                    println!("      {} {}", step.place, step.what);
                }
            }
        }
        if std::env::var_os("FACTS").is_some() {
            for file in &evidence.files {
                for f in &file.functions {
                    println!("{} {:?}", file.path, f);
                }
            }
        }
        for problem in problems.iter().take(5) {
            println!("problem: {problem}");
        }
        println!(
            "{root}: {count} findings, {bytes} bytes, {:.2} MB/s",
            bytes as f64 / 1e6 / seconds
        );
    }
}
