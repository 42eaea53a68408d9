//! SARIF 2.1.0, which code hosts and editors read: rules, results, paths as code flows, fixes.

use std::io::{self, Write};

use oomscope_model::{Finding, Fix, FixSafety, Severity};
use serde_json::{Value, json};

use super::fingerprint::fingerprints;
use super::place::{Files, Spot};
use super::{CheckReport, CheckedFile, RuleEntry, Shown};
use crate::json::write_json;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Writes one run.
pub fn render_sarif(report: &CheckReport, shown: Shown, out: &mut dyn Write) -> io::Result<()> {
    let files = Files::of(report);
    let results: Vec<Value> = report
        .findings(shown)
        .zip(fingerprints(report, shown, &files))
        .map(|((file, finding), fingerprint)| result(report, &files, file, finding, &fingerprint))
        .collect();
    let notifications: Vec<Value> = report
        .problems
        .iter()
        .map(|problem| json!({ "level": "warning", "message": { "text": problem.to_string() } }))
        .collect();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "oomscope",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": report.rules.iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": { "SRCROOT": { "description": { "text": "where the check ran" } } },
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    });
    write_json(&document, out)
}

fn rule(rule: &RuleEntry) -> Value {
    json!({
        "id": rule.id,
        "name": rule.name,
        "shortDescription": { "text": rule.summary() },
        "fullDescription": { "text": rule.summary() },
        "help": { "text": rule.page, "markdown": rule.page },
        "defaultConfiguration": { "level": level(rule.severity) },
        "properties": { "tags": ["pytorch", "memory", rule.group] },
    })
}

fn result(
    report: &CheckReport,
    files: &Files<'_>,
    file: &CheckedFile,
    finding: &Finding,
    fingerprint: &str,
) -> Value {
    let start = file.start_of(finding);
    let message = match start.cell {
        // The file is JSON; its lines are not those of the cell.
        Some(_) => format!("{} (at {start})", finding.message),
        None => finding.message.clone(),
    };
    let mut result = json!({
        "ruleId": finding.rule,
        "level": level(finding.severity),
        "message": { "text": message },
        "locations": [{
            "physicalLocation": physical(file, start, file.end_of(finding)),
        }],
        "partialFingerprints": { "oomscope/v1": fingerprint },
    });
    let Some(object) = result.as_object_mut() else { return result };
    if let Some(index) = report.rules.iter().position(|rule| rule.id == finding.rule) {
        object.insert("ruleIndex".to_owned(), index.into());
    }
    if let Some(function) = &finding.place.function {
        let logical = json!([{ "fullyQualifiedName": function, "kind": "function" }]);
        if let Some(location) = object.get_mut("locations").and_then(|all| all.get_mut(0)) {
            location["logicalLocations"] = logical;
        }
    }
    if !finding.path.is_empty() {
        let steps: Vec<Value> = finding
            .path
            .iter()
            .filter_map(|step| {
                let file = files.file(&step.place.file)?;
                let spot = file.spot(step.place.line, 1);
                let region = match spot.cell {
                    Some(_) => json!({ "startLine": 1 }),
                    None => json!({ "startLine": spot.line }),
                };
                Some(json!({ "location": {
                    "physicalLocation": {
                        "artifactLocation": artifact(&file.path),
                        "region": region,
                    },
                    "message": { "text": step.what },
                }}))
            })
            .collect();
        if !steps.is_empty() {
            let flows = json!([{ "threadFlows": [{ "locations": steps }] }]);
            object.insert("codeFlows".to_owned(), flows);
        }
    }
    if let Some(fix) = finding.fix.as_ref().and_then(|fix| fix_of(files, file, fix)) {
        object.insert("fixes".to_owned(), json!([fix]));
    }
    result
}

/// A fix of a module; a notebook's edits have no place in its file.
fn fix_of(files: &Files<'_>, file: &CheckedFile, fix: &Fix) -> Option<Value> {
    if !file.cells.is_empty() || fix.edits.is_empty() || fix.safety == FixSafety::Suggest {
        return None;
    }
    let replacements: Option<Vec<Value>> = fix
        .edits
        .iter()
        .map(|edit| {
            let start = files.spot(&file.path, edit.start)?;
            let end = files.spot(&file.path, edit.end)?;
            Some(json!({
                "deletedRegion": region(start, end),
                "insertedContent": { "text": edit.text },
            }))
        })
        .collect();
    Some(json!({
        "description": { "text": fix.title },
        "artifactChanges": [{
            "artifactLocation": artifact(&file.path),
            "replacements": replacements?,
        }],
    }))
}

fn physical(file: &CheckedFile, start: Spot, end: Spot) -> Value {
    let region = match start.cell {
        Some(_) => json!({ "startLine": 1, "startColumn": 1 }),
        None => region(start, end),
    };
    json!({ "artifactLocation": artifact(&file.path), "region": region })
}

fn region(start: Spot, end: Spot) -> Value {
    json!({
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    })
}

fn artifact(path: &str) -> Value {
    let path = path.replace('\\', "/");
    let is_drive = path.as_bytes().get(1) == Some(&b':');
    if path.starts_with('/') {
        return json!({ "uri": format!("file://{}", percent(&path)) });
    }
    if is_drive {
        return json!({ "uri": format!("file:///{}", percent(&path)) });
    }
    json!({ "uri": percent(path.trim_start_matches("./")), "uriBaseId": "SRCROOT" })
}

/// The path of a URI.
fn percent(path: &str) -> String {
    use std::fmt::Write;
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

fn level(severity: Severity) -> &'static str {
    super::severity(severity)
}
