//! The source analyser beside the linters: the same files, in turns, CPU and wall time as ratios.

use anyhow::{Context, Result, bail};

use crate::measure::{Figure, measure, release_binary};

/// What we hold ourselves to, as ratios of medians.
const BARS: &str =
    "bars: CPU at most 1.5 times ruff's; at least 1,000 times torch-preflight's speed";

/// Measures `[PATH..., "--ruff", R, "--torch-preflight", T, "--rounds", N]`.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let (mut paths, mut ruff, mut preflight, mut rounds) = (Vec::new(), None, None, 5_usize);
    let mut words = arguments.iter();
    while let Some(&word) = words.next() {
        let mut value = || words.next().with_context(|| format!("`{word}` needs a value"));
        match word {
            "--ruff" => ruff = Some((*value()?).to_owned()),
            "--torch-preflight" => preflight = Some((*value()?).to_owned()),
            "--rounds" => rounds = value()?.parse()?,
            _ if word.starts_with('-') => bail!("unknown option `{word}`"),
            _ => paths.push(word.to_owned()),
        }
    }
    if paths.is_empty() {
        bail!("which files?");
    }
    let with = |start: &[&str]| -> Vec<String> {
        start.iter().map(|word| (*word).to_owned()).chain(paths.iter().cloned()).collect()
    };
    let ours = with(&[&release_binary()?, "check", "--isolated", "--no-cache", "--quiet"]);
    let ruff = ruff.unwrap_or_else(|| "ruff".to_owned());
    let theirs = with(&[&ruff, "check", "--isolated", "--select", "F", "--no-cache", "--quiet"]);
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        own.push(measure(&ours, None)?);
        other.push(measure(&theirs, None)?);
    }
    println!("{BARS}");
    show("oomscope check", &own);
    show("ruff --select F", &other);
    let ratio = middle(&own, cpu) / middle(&other, cpu).max(1e-3);
    println!("CPU, oomscope to ruff: {ratio:.2} times");
    if let Some(preflight) = preflight {
        let words = with(&[&preflight, "check", "-j", "1", "-f", "json"]);
        let slow = vec![measure(&words, None)?];
        show("torch-preflight", &slow);
        let ratio = middle(&slow, wall) / middle(&own, wall).max(1e-3);
        println!("wall time, torch-preflight to oomscope: {ratio:.0} times");
    }
    Ok(())
}

fn show(name: &str, figures: &[Figure]) {
    let (wall, cpu) = (middle(figures, wall), middle(figures, cpu));
    println!("{name:<18} wall {wall:7.2} s   CPU {cpu:7.2} s   (median of {})", figures.len());
}

fn wall(figure: &Figure) -> f64 {
    figure.seconds
}

fn cpu(figure: &Figure) -> f64 {
    figure.cpu.unwrap_or(f64::NAN)
}

fn middle(figures: &[Figure], of: fn(&Figure) -> f64) -> f64 {
    let mut values: Vec<f64> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
