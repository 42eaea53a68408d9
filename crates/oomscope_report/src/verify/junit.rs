//! The verification for CI servers: a test for stability, one for the budget.

use std::io::{self, Write};

use oomscope_diagnose::verify::Verdict;

use super::{VerifyReport, ending, headline, verdict_name};
use crate::check::escaped;

/// Writes the report as `JUnit`'s XML.
pub fn render_junit(report: &VerifyReport, out: &mut dyn Write) -> io::Result<()> {
    let tests = tests(report);
    let failures = tests.iter().filter(|test| test.failure.is_some()).count();
    let counts = format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\"", tests.len());
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"oomscope verify\" {counts}>")?;
    writeln!(out, "  <testsuite name=\"{}\" {counts}>", escaped(&report.command.join(" ")))?;
    for test in tests {
        let name = escaped(&test.name);
        match test.failure {
            None => writeln!(out, "    <testcase name=\"{name}\" classname=\"oomscope.verify\"/>")?,
            Some(why) => {
                let why = escaped(&why);
                writeln!(out, "    <testcase name=\"{name}\" classname=\"oomscope.verify\">")?;
                writeln!(out, "      <failure message=\"{why}\" type=\"memory\">{why}</failure>")?;
                writeln!(out, "    </testcase>")?;
            }
        }
    }
    writeln!(out, "  </testsuite>")?;
    writeln!(out, "</testsuites>")
}

struct Test {
    name: String,
    failure: Option<String>,
}

fn tests(report: &VerifyReport) -> Vec<Test> {
    let mut tests = Vec::new();
    for device in &report.devices {
        let verdict = device.judgement.verdict;
        let why: Vec<String> = device.judgement.evidence.iter().map(ToString::to_string).collect();
        let failure = (verdict != Verdict::Stable)
            .then(|| format!("{}: {}", verdict_name(verdict).replace('_', " "), why.join("; ")));
        tests.push(Test {
            name: format!("{} device {}: memory is stable", device.process, device.device),
            failure,
        });
    }
    if report.devices.is_empty() {
        tests.push(Test { name: "memory is stable".to_owned(), failure: Some(headline(report)) });
    }
    tests.push(Test { name: "the command succeeds".to_owned(), failure: ending(report) });
    if let Some(budget) = &report.budget {
        let peak = budget.peak.map_or_else(|| "unknown".to_owned(), |peak| peak.to_string());
        let failure = (!budget.fits()).then(|| format!("the peak is {peak} ({})", budget.from));
        tests.push(Test { name: format!("the peak is at most {}", budget.limit), failure });
    }
    tests
}
