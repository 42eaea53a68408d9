//! Every tool that reads snapshots, on the same file, in turns: one process each, then one table.
//! A tool that cannot be installed or fails is listed with its reason.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::measure::{Figure, measure, median, release_binary};
use crate::peers::{Folder, PEERS};

/// What of ours is measured; the ratios are against the first.
const OURS: &[&[&str]] = &[&["snapshot", "summary"], &["snapshot", "peak"], &["diagnose"]];
/// One pass over the file, and nothing else.
const YARDSTICK: &str = "sha1sum";
/// What we hold ourselves to: time against the yardstick's, peak memory against the file's size.
const BAR: (f64, f64) = (1.5, 1.2);
const DEFAULT_ROUNDS: usize = 3;

/// How the table is printed.
#[derive(Clone, Copy)]
enum Style {
    Text,
    Markdown,
}

/// A tool in the race.
struct Runner {
    name: String,
    shown: String,
    words: Vec<String>,
    figures: Vec<Figure>,
    failure: Option<String>,
}

/// Measures `file`, as `[FILE, "--rounds", N, "--markdown"]` say.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let mut file = None;
    let (mut rounds, mut style) = (DEFAULT_ROUNDS, Style::Text);
    let mut words = arguments.iter();
    while let Some(&word) = words.next() {
        match word {
            "--markdown" => style = Style::Markdown,
            "--rounds" => {
                let count = words.next().context("`--rounds` needs a number")?;
                rounds = count.parse().with_context(|| format!("`{count}` is no number"))?;
            }
            _ if word.starts_with('-') => bail!("unknown option `{word}`"),
            _ => file = Some(word),
        }
    }
    let file = Path::new(file.context("which snapshot?")?).canonicalize()?;
    // One read brings the file into the cache, for all alike.
    let size = std::fs::read(&file)?.len();
    let binary = release_binary()?;
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let folder = Folder::open(&Path::new(&target).join("peers"))?;
    let mut runners = enter(&binary, &folder, &file);
    for _ in 0..rounds {
        for runner in &mut runners {
            take_turn(runner, &folder, &file)?;
        }
    }
    print_table(runners, size, style);
    Ok(())
}

/// Another entry of the file under its own name, beside which a tool may leave what it likes.
fn scratch(folder: &Folder, file: &Path) -> PathBuf {
    folder.path("scratch").join(file.file_name().unwrap_or_default())
}

fn enter(binary: &str, folder: &Folder, file: &Path) -> Vec<Runner> {
    let link = scratch(folder, file);
    let name = link.display().to_string();
    let runner = |name: String, shown: String, words: Vec<String>| Runner {
        name,
        shown,
        words,
        figures: Vec::new(),
        failure: None,
    };
    let mut runners: Vec<Runner> = Vec::new();
    for verb in OURS {
        let shown = format!("oomscope {} FILE", verb.join(" "));
        let verb = verb.iter().map(|&word| word.to_owned());
        let words = [binary.to_owned()].into_iter().chain(verb).chain([name.clone()]).collect();
        runners.push(runner("oomscope".to_owned(), shown, words));
    }
    let words = vec![YARDSTICK.to_owned(), name.clone()];
    runners.push(runner(YARDSTICK.to_owned(), format!("{YARDSTICK} FILE"), words));
    for peer in PEERS {
        let words = (peer.command)(folder, &name, &folder.path("scratch"));
        let title = format!("{} {}", peer.name, peer.version).trim_end().to_owned();
        let mut runner = runner(title, peer.shown.to_owned(), words);
        if let Err(error) = (peer.install)(folder) {
            runner.failure = Some(format!("not installed: {error:#}"));
        }
        runners.push(runner);
    }
    runners
}

/// One run, in a folder that holds nothing but the file: a cache that a tool left in an
/// earlier round is gone.
fn take_turn(runner: &mut Runner, folder: &Folder, file: &Path) -> Result<()> {
    if runner.failure.is_some() {
        return Ok(());
    }
    let place = folder.path("scratch");
    if place.exists() {
        std::fs::remove_dir_all(&place)?;
    }
    std::fs::create_dir_all(&place)?;
    let entry = scratch(folder, file);
    std::fs::hard_link(file, &entry).or_else(|_| std::fs::copy(file, &entry).map(drop))?;
    match measure(&runner.words, Some(&place)) {
        Ok(figure) => runner.figures.push(figure),
        Err(error) => runner.failure = Some(format!("failed: {error:#}")),
    }
    std::fs::remove_dir_all(&place)?;
    Ok(())
}

fn print_table(runners: Vec<Runner>, size: usize, style: Style) {
    let mut rows =
        vec![["tool", "command", "seconds", "peak MiB", "times ours", "memory"].map(str::to_owned)];
    let (mut ours, mut yardstick): (Option<Figure>, Option<f64>) = (None, None);
    let mut failures = Vec::new();
    for runner in runners {
        let is_ours = runner.name == "oomscope";
        if let Some(failure) = runner.failure {
            failures.push(format!("{}: {failure}", runner.name));
            continue;
        }
        let Some(figure) = median(runner.figures) else { continue };
        let base = ours.as_ref().unwrap_or(&figure);
        let peak = figure.peak_kib.zip(base.peak_kib);
        rows.push([
            runner.name.clone(),
            runner.shown,
            format!("{:.2}", figure.seconds),
            figure.peak_kib.map_or_else(|| "?".to_owned(), |kib| (kib / 1024).to_string()),
            format!("{:.1} x", figure.seconds / base.seconds),
            peak.map_or_else(String::new, |(a, b)| format!("{:.1} x", a as f64 / b as f64)),
        ]);
        if runner.name == YARDSTICK {
            yardstick = Some(figure.seconds);
        } else if is_ours && ours.is_none() {
            ours = Some(figure);
        }
    }
    print_rows(&rows, style);
    for failure in failures {
        println!("skipped: {failure}");
    }
    let Some(ours) = ours else { return };
    if let Some(yardstick) = yardstick {
        let ratio = ours.seconds / yardstick;
        println!("time: {ratio:.1} x {YARDSTICK}, the bar is {}", BAR.0);
    }
    if let Some(kib) = ours.peak_kib {
        let ratio = (kib * 1024) as f64 / size as f64;
        println!("peak memory: {ratio:.1} x the file of {size} bytes, the bar is {}", BAR.1);
    }
}

fn print_rows<const N: usize>(rows: &[[String; N]], style: Style) {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for (row, number) in rows.iter().zip(0..) {
        let cells = row.iter().zip(&widths).zip(0..).map(|((cell, &width), column)| {
            if column < 2 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        let cells: Vec<String> = cells.collect();
        match style {
            Style::Text => println!("{}", cells.join("  ").trim_end()),
            Style::Markdown => println!("| {} |", cells.join(" | ")),
        }
        if number == 0 && matches!(style, Style::Markdown) {
            println!("| --- | --- |{}", " ---: |".repeat(N - 2));
        }
    }
}
