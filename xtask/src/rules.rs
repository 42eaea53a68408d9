//! `docs/rules.md`: the rules of `oomscope check`, from their own pages.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use oomscope_report::check::{RuleEntry, render_rules_page};

use crate::Mode;

const PAGE: &str = "docs/rules.md";

/// Writes the page, or fails when the committed one is stale.
pub(crate) fn run(root: &Path, mode: Mode) -> Result<()> {
    let rules: Vec<RuleEntry> = oomscope_source::rules()
        .map(|rule| RuleEntry {
            id: rule.id,
            name: rule.name,
            group: rule.group.name(),
            cause: rule.cause,
            severity: rule.severity,
            page: rule.doc,
        })
        .collect();
    let mut page = Vec::new();
    render_rules_page(&rules, &mut page)?;
    let path = root.join(PAGE);
    match mode {
        Mode::Write => {
            fs::write(&path, page).with_context(|| format!("cannot write {PAGE}"))?;
            println!("wrote {PAGE}");
        }
        Mode::Check => {
            let committed = fs::read(&path).with_context(|| format!("cannot read {PAGE}"))?;
            if committed != page {
                bail!("{PAGE} is stale\nhint: run `cargo xtask rules` and commit it");
            }
            println!("{PAGE} is up to date");
        }
    }
    Ok(())
}
