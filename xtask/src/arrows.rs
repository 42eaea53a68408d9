//! Which crate may depend on which: the arrows of the architecture, held against `cargo metadata`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

/// Each crate of the workspace with the crates of the workspace that it may name. Development
/// dependencies count too: a test that looks sideways ties crates together as well.
const ALLOWED: &[(&str, &[&str])] = &[
    ("oomscope_model", &[]),
    ("oomscope_snapshot", &["oomscope_model"]),
    ("oomscope_allocator", &["oomscope_model"]),
    ("oomscope_source", &["oomscope_model"]),
    ("oomscope_budget", &["oomscope_allocator"]),
    (
        "oomscope_diagnose",
        &["oomscope_model", "oomscope_snapshot", "oomscope_allocator", "oomscope_source"],
    ),
    (
        "oomscope_report",
        &[
            "oomscope_model",
            "oomscope_snapshot",
            "oomscope_allocator",
            "oomscope_budget",
            "oomscope_diagnose",
        ],
    ),
    ("oomscope_export", &["oomscope_model", "oomscope_snapshot"]),
    (
        "oomscope",
        &[
            "oomscope_model",
            "oomscope_snapshot",
            "oomscope_allocator",
            "oomscope_source",
            "oomscope_diagnose",
            "oomscope_report",
            "oomscope_export",
            "oomscope_budget",
        ],
    ),
    (
        "xtask",
        &[
            "oomscope_model",
            "oomscope_snapshot",
            "oomscope_allocator",
            "oomscope_report",
            "oomscope_source",
            "oomscope_diagnose",
        ],
    ),
];

/// Ruff's crates have no stable interface; one crate adapts them.
const MAY_NAME_RUFF: &str = "oomscope_source";

/// Fails on every arrow that the table does not have.
pub(crate) fn check(root: &Path) -> Result<()> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cannot read cargo metadata")?;
    let wrong = wrong_arrows(&dependencies(&metadata));
    if !wrong.is_empty() {
        bail!("{}\nhint: the table is in xtask/src/arrows.rs", wrong.join("\n"));
    }
    println!("every arrow points up");
    Ok(())
}

/// Each crate of the workspace with all that it names.
fn dependencies(metadata: &Metadata) -> Vec<(String, Vec<String>)> {
    let packages = metadata.workspace_packages();
    packages
        .iter()
        .map(|package| {
            let named = package.dependencies.iter().map(|dependency| dependency.name.clone());
            (package.name.to_string(), named.collect())
        })
        .collect()
}

fn wrong_arrows(dependencies: &[(String, Vec<String>)]) -> Vec<String> {
    let is_ours = |name: &str| dependencies.iter().any(|(package, _)| package == name);
    let mut wrong = Vec::new();
    for (package, named) in dependencies {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == package) else {
            wrong.push(format!("{package} is not in the table of crates"));
            continue;
        };
        for name in named {
            if name.starts_with("ruff_") && package != MAY_NAME_RUFF {
                wrong.push(format!("{package} names {name}: only {MAY_NAME_RUFF} may"));
            }
            if is_ours(name) && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{package} must not depend on {name}"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::{check, wrong_arrows};

    #[test]
    fn every_arrow_of_the_workspace_points_up() {
        check(crate::root()).expect("the workspace keeps to the table");
    }

    #[test]
    fn a_forbidden_arrow_is_named() {
        let crates = |pairs: &[(&str, &[&str])]| {
            let own = |name: &&str| (*name).to_owned();
            let pairs = pairs.iter().map(|(name, named)| (own(name), named.iter().map(own)));
            pairs.map(|(name, named)| (name, named.collect())).collect::<Vec<_>>()
        };
        let wrong = wrong_arrows(&crates(&[
            ("oomscope_model", &["oomscope_report", "serde"]),
            ("oomscope_report", &["oomscope_model", "ruff_text_size"]),
            ("oomscope_source", &["oomscope_model", "ruff_text_size"]),
            ("newcomer", &[]),
        ]));
        assert_eq!(
            wrong,
            [
                "oomscope_model must not depend on oomscope_report",
                "oomscope_report names ruff_text_size: only oomscope_source may",
                "newcomer is not in the table of crates",
            ]
        );
    }
}
