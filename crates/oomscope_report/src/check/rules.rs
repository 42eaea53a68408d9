//! The table of rules, as `oomscope rules` and the documentation show it.

use std::io::{self, Write};

use serde_json::json;

use super::{RuleEntry, severity};
use crate::TextStyle;
use crate::json::write_json;
use crate::layout::{Tone, gap, write_line, write_wrapped};

/// Writes a line a rule, under its group.
pub fn render_rules_text(
    rules: &[RuleEntry],
    style: &TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let style = *style;
    let width = rules.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    let mut group = "";
    for rule in rules {
        if rule.group != group {
            if !group.is_empty() {
                writeln!(out)?;
            }
            group = rule.group;
            write_line(out, style, &[style.span(Tone::Heading, group)])?;
        }
        let lead = [
            gap(2),
            style.span(Tone::Strong, rule.id),
            style.span(Tone::Code, &format!("  {:<width$}", rule.name)),
            style.span(
                super::concise::tone(rule.severity),
                &format!("  {:<7}", severity(rule.severity)),
            ),
            style.span(Tone::Plain, &format!("  {:<4}", if has_fix(rule) { "fix" } else { "" })),
        ];
        write_line(out, style, &lead)?;
        write_wrapped(out, style, &[gap(10)], &style.prose(Tone::Faint, rule.summary()))?;
    }
    Ok(())
}

/// Writes the rules as an array.
pub fn render_rules_json(rules: &[RuleEntry], out: &mut dyn Write) -> io::Result<()> {
    let rules: Vec<serde_json::Value> = rules
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "name": rule.name,
                "group": rule.group,
                "severity": severity(rule.severity),
                "cause": rule.cause.name(),
                "fix": rule.fix(),
                "summary": rule.summary(),
                "page": rule.page,
            })
        })
        .collect();
    write_json(&rules, out)
}

/// Writes a table a group.
pub fn render_rules_markdown(rules: &[RuleEntry], out: &mut dyn Write) -> io::Result<()> {
    let mut group = "";
    for rule in rules {
        if rule.group != group {
            if !group.is_empty() {
                writeln!(out)?;
            }
            group = rule.group;
            writeln!(out, "## {group}\n")?;
            writeln!(out, "| id | name | severity | fix | what it finds |")?;
            writeln!(out, "|---|---|---|---|---|")?;
        }
        writeln!(
            out,
            "| {} | [`{}`](#{}) | {} | {} | {} |",
            rule.id,
            rule.name,
            anchor(rule),
            severity(rule.severity),
            if has_fix(rule) { "yes" } else { "" },
            rule.summary().replace('\n', " ").replace('|', "\\|"),
        )?;
    }
    Ok(())
}

/// Writes the page of the documentation: the tables, then every rule's own page.
pub fn render_rules_page(rules: &[RuleEntry], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# Rules\n")?;
    writeln!(
        out,
        "What `oomscope check` finds. Written by `cargo xtask rules` from the rules' own pages; \
         `oomscope explain NAME` prints one.\n"
    )?;
    render_rules_markdown(rules, out)?;
    for rule in rules {
        writeln!(out)?;
        let mut is_code = false;
        for line in rule.page.trim_end().lines() {
            if line.starts_with("```") {
                is_code = !is_code;
            }
            let fence = line.strip_prefix("```python ");
            match fence {
                // The kind of the block is for our tests; readers get a word for it.
                Some(kind) => writeln!(out, "{}\n\n```python", block_title(kind))?,
                None if line.starts_with('#') && !is_code => writeln!(out, "#{line}")?,
                None => writeln!(out, "{}", line.trim_end_matches("  # finding"))?,
            }
        }
    }
    Ok(())
}

fn block_title(kind: &str) -> &str {
    match kind {
        "bad" => "Found:",
        "good" => "Not found:",
        other => other,
    }
}

fn has_fix(rule: &RuleEntry) -> bool {
    rule.fix().is_some_and(|text| !text.starts_with("None"))
}

/// What GitHub makes of the heading `name (ID)`.
fn anchor(rule: &RuleEntry) -> String {
    format!("{}-{}", rule.name, rule.id.to_lowercase())
}
