//! Chores of the repository: `cargo xtask check` runs every check, the others run one or write
//! what is generated.
#![allow(clippy::disallowed_methods, reason = "chores read and write the repository")]
#![allow(clippy::print_stdout, reason = "chores say what they did")]

mod arrows;
mod bench;
mod bench_allocator;
mod bench_check;
mod bench_peers;
mod generate;
mod measure;
mod peers;
mod picture;
mod rules;
mod schema;

use std::path::Path;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask <chore>

  check             every check below
  arrows            no crate depends on one that the architecture forbids
  schema [--check]  write (or check) the JSON schemas in schema/
  rules [--check]   write (or check) docs/rules.md, the page of the source rules
  bench FILE        time `diagnose` of a snapshot against Python's pickle.load of it
  bench-allocator FILE [--torch-python PYTHON] [--runner PROGRAM]
                    time the allocator model on a snapshot's trace, and PyTorch's own allocator on
                    the same requests; PROGRAM starts PYTHON where there is no GPU (use --release)
  bench-check PATH... [--ruff RUFF] [--torch-preflight PROGRAM] [--rounds N]
                    time `check` of files beside other linters, in turns
  bench-peers FILE [--rounds N] [--markdown]
                    time every tool that reads snapshots on one, in turns (see docs/measurements.md)
  peers FOLDER      bring the tools that the agreement test compares with into a folder
  generate FILE --bytes 2GB | --entries 20M [--seed N] [--depth N]
                    write a made-up snapshot of any size
  picture [--check] write (or check) docs/diagnosis.svg, what the README shows
";

/// Whether a generated file is written or compared.
#[derive(Clone, Copy)]
enum Mode {
    Write,
    Check,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["check"] => {
            arrows::check(root())?;
            schema::run(root(), Mode::Check)?;
            rules::run(root(), Mode::Check)?;
            picture::run(root(), Mode::Check)
        }
        ["arrows"] => arrows::check(root()),
        ["schema"] => schema::run(root(), Mode::Write),
        ["schema", "--check"] => schema::run(root(), Mode::Check),
        ["rules"] => rules::run(root(), Mode::Write),
        ["rules", "--check"] => rules::run(root(), Mode::Check),
        ["picture"] => picture::run(root(), Mode::Write),
        ["picture", "--check"] => picture::run(root(), Mode::Check),
        ["bench", file] => bench::run(file),
        ["bench-check", arguments @ ..] => bench_check::run(arguments),
        ["bench-allocator", arguments @ ..] => bench_allocator::run(arguments),
        ["bench-peers", arguments @ ..] => bench_peers::run(arguments),
        ["peers", folder] => peers::install_for_tests(folder),
        ["generate", file, options @ ..] => generate::run(file, options),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => bail!("unknown chore `{}`\n\n{USAGE}", words.join(" ")),
    }
}

/// The workspace's root: the folder above this crate.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
