//! `docs/diagnosis.svg`: what the built binary prints about a shipped example, as a picture.

use std::fs;
use std::path::Path;
use std::process::Command;

use anstyle_svg::Term;
use anyhow::{Context, Result, bail};

use crate::Mode;

const PICTURE: &str = "docs/diagnosis.svg";
const ARGUMENTS: [&str; 5] =
    ["diagnose", "examples/retained_graph", "--brief", "--color", "always"];

/// Writes the picture, or fails when it differs from what the binary prints.
pub(crate) fn run(root: &Path, mode: Mode) -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "oomscope", "--"])
        .args(ARGUMENTS)
        .current_dir(root)
        .output()
        .context("cannot run oomscope")?;
    let text = String::from_utf8(output.stdout).context("oomscope printed no text")?;
    if text.is_empty() {
        bail!("oomscope printed nothing: {}", String::from_utf8_lossy(&output.stderr));
    }
    let prompt = "$ oomscope diagnose examples/retained_graph --brief\n";
    let svg = Term::new().render_svg(&format!("{prompt}{text}"));
    let path = root.join(PICTURE);
    match mode {
        Mode::Write => {
            fs::write(&path, svg).with_context(|| format!("cannot write {PICTURE}"))?;
            println!("wrote {PICTURE}");
        }
        Mode::Check if fs::read_to_string(&path).ok().as_deref() == Some(svg.as_str()) => {
            println!("{PICTURE} is up to date");
        }
        Mode::Check => bail!("{PICTURE} is stale; run `cargo xtask picture`"),
    }
    Ok(())
}
