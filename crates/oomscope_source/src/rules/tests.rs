//! The pages of all rules, run as tests.

use oomscope_model::{Finding, Fix, Severity};

use super::{rule, rules};
use crate::{InputFile, allow, check};

fn findings(text: &str) -> Vec<Finding> {
    let file = InputFile { path: "case.py".to_owned(), text: text.to_owned() };
    let checked = check(vec![file]);
    let mut files = checked.evidence.files.into_iter();
    let Some(mut file) = files.next() else { return Vec::new() };
    let allows = checked.allows.first().map(Vec::as_slice).unwrap_or_default();
    let mut problems = Vec::new();
    allow::suppress(&file.path, &file.text, allows, &|_| true, &mut file.findings, &mut problems);
    assert_eq!(problems, []);
    file.findings
}

/// A page is about its own rule; what other rules advise beside it is theirs to show.
fn without_advice_of_others(findings: Vec<Finding>, id: &str) -> Vec<Finding> {
    let counts = |f: &Finding| f.rule == id || f.severity > Severity::Note;
    findings.into_iter().filter(counts).collect()
}

fn blocks<'d>(doc: &'d str, kind: &str) -> Vec<&'d str> {
    let opening = format!("```python {kind}\n");
    doc.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn applied(text: &str, fix: &Fix) -> String {
    let mut edits = fix.edits.clone();
    edits.sort_by_key(|edit| std::cmp::Reverse((edit.start, edit.end)));
    edits.iter().fold(text.to_owned(), |mut text, edit| {
        text.replace_range(edit.start..edit.end, &edit.text);
        text
    })
}

#[test]
fn the_table_is_sorted_and_every_rule_is_found_by_id_and_name() {
    for (one, next) in rules().zip(rules().skip(1)) {
        assert!(one.id < next.id, "{} before {}", one.id, next.id);
    }
    for each in rules() {
        assert_eq!(rule(each.id).map(|r| r.id), Some(each.id));
        assert_eq!(rule(each.name).map(|r| r.id), Some(each.id));
        assert!(each.doc.contains(each.id) && each.doc.contains(each.name), "{}", each.id);
    }
    assert!(rule("no-such-rule").is_none());
}

#[test]
fn every_bad_block_yields_its_rule_at_the_marked_lines_and_no_other() {
    for rule in rules() {
        let bad = blocks(rule.doc, "bad");
        assert!(!bad.is_empty(), "{} has no bad block", rule.id);
        for text in bad {
            let marked: Vec<u32> = (1..)
                .zip(text.lines())
                .filter(|(_, l)| l.ends_with("# finding"))
                .map(|(n, _)| n)
                .collect();
            let found = without_advice_of_others(findings(text), rule.id);
            let lines: Vec<u32> = found.iter().map(|f| f.place.line).collect();
            assert_eq!(lines, marked, "{}: {found:#?}", rule.id);
            assert!(found.iter().all(|f| f.rule == rule.id), "{}: {found:#?}", rule.id);
            assert!(found.iter().all(|f| f.severity <= rule.severity), "{}", rule.id);
        }
    }
}

#[test]
fn every_good_block_yields_nothing() {
    for rule in rules() {
        let good = blocks(rule.doc, "good");
        assert!(!good.is_empty(), "{} has no good block", rule.id);
        for text in good {
            assert_eq!(without_advice_of_others(findings(text), rule.id), [], "{}", rule.id);
        }
    }
}

#[test]
fn a_fix_reparses_and_removes_its_finding_for_good() {
    for rule in rules() {
        for text in blocks(rule.doc, "bad") {
            let mut text = text.to_owned();
            let findings = |text: &str| without_advice_of_others(findings(text), rule.id);
            let before = findings(&text).len();
            let mut fixed = 0;
            while let Some(fix) = findings(&text).into_iter().find_map(|f| f.fix) {
                text = applied(&text, &fix);
                fixed += 1;
                assert!(fixed <= before, "{}: a fix leaves its finding:\n{text}", rule.id);
            }
            assert!(ruff_python_parser::parse_module(&text).is_ok(), "{}:\n{text}", rule.id);
            assert_eq!(findings(&text).len(), before - fixed, "{}:\n{text}", rule.id);
        }
    }
}

const LOOP: &str = "import torch\nimport torch.nn.functional as F\nfrom collections import deque\n\n\n\
    class Log:\n    def __init__(self):\n        self.kept = []\n\n    \
    def note(self, value):\n        self.kept.append(value)\n        return len(self.kept)\n\n\n\
    def train(model, loader, optimizer):\n    log, queue = Log(), deque(maxlen=4)\n    \
    for x, y in loader:\n        loss = F.cross_entropy(model(x), y)\n        \
    optimizer.zero_grad()\n        loss.backward()\n        optimizer.step()\n        ";

#[test]
fn a_call_inside_an_f_string_is_seen() {
    let found = findings(&format!("{LOOP}print(f\"noted {{log.note(loss)}}\")\n"));
    assert_eq!(found.iter().map(|f| f.rule).collect::<Vec<_>>(), ["OOM104"], "{found:#?}");
}

#[test]
fn a_sum_made_under_no_grad_carries_no_graph_but_a_kept_loss_does() {
    let kept = |statement: &str| {
        findings(&format!("{LOOP}with torch.no_grad():\n            {statement}\n")).len()
    };
    assert_eq!(kept("log.note(loss * 2)"), 0);
    assert_eq!(kept("log.note(loss)"), 1);
}

#[test]
fn a_fix_of_a_value_that_is_read_as_a_tensor_keeps_it_one() {
    for (read, ending) in [("kept[-1].item()", ".detach()"), ("float(kept[-1])", ".item()")] {
        let text = LOOP.replace("queue = Log(), deque(maxlen=4)", "kept = Log(), []");
        let found = findings(&format!("{text}kept.append(loss)\n    return {read}\n"));
        let edits = found.first().and_then(|f| f.fix.as_ref()).map(|fix| &fix.edits);
        let texts = edits.map(|edits| edits.iter().map(|e| e.text.as_str()).collect::<Vec<_>>());
        assert_eq!(texts, Some(vec![ending]), "{read}");
    }
}

#[test]
fn a_sum_that_a_line_in_the_loop_resets_is_not_said_to_keep_every_graph() {
    let text = LOOP.replace("log, queue = Log(), deque(maxlen=4)", "total = 0.0");
    let said = |rest: &str| findings(&format!("{text}{rest}")).remove(0).message;
    let reset =
        "total += loss\n        if y > 3:\n            print(total)\n            total = 0.0\n";
    assert!(said(reset).ends_with("graphs pile up until line 25 resets it"), "{}", said(reset));
    let never = "total += loss\n    return total\n";
    assert!(said(never).ends_with("every iteration's graph stays alive"), "{}", said(never));
}
