//! Step 4: a patch against the user's file where one can be written, else the change in words.

use oomscope_model::{Assessment, Cause, Edit, FileChange, Patch, SourceFile};
use similar::TextDiff;

use crate::causes;
use crate::context::Context;
use crate::join::Joined;

/// Causes below this share of the best one's confidence get no patch.
const WORTH_A_PATCH: u8 = 50;
const MOST: usize = 3;

/// Fixes for the claimed causes, best first; for the best one when none is claimed and it failed.
pub(crate) fn patches(context: &Context<'_>, assessments: &[Assessment]) -> Vec<Patch> {
    assessments
        .iter()
        .filter(|assessment| assessment.confidence.as_percent() >= WORTH_A_PATCH)
        .take(MOST)
        .map(|assessment| patch(context, assessment.cause))
        .collect()
}

fn patch(context: &Context<'_>, cause: Cause) -> Patch {
    let words = (causes::rule(cause).remedy)(context).fix;
    let fixable = context.finding_to_fix(cause).filter(|joined| joined.finding.fix.is_some());
    let fixable = fixable.or_else(|| {
        // A rank's device is chosen where no bytes live.
        context
            .findings_of(cause)
            .find(|joined| cause == Cause::RanksOnOneDevice && joined.finding.fix.is_some())
    });
    if let Some((joined, diff)) = fixable.and_then(|joined| Some((joined, diff(joined)?))) {
        let title =
            joined.finding.fix.as_ref().map(|fix| capitalised(&fix.title)).unwrap_or_default();
        let change = joined.finding.fix.as_ref().map(|fix| FileChange {
            path: joined.file.path.clone(),
            safety: fix.safety,
            edits: fix.edits.clone(),
        });
        return Patch { cause, title, diff: Some(diff), change, words };
    }
    let (title, words) = headed(&words);
    Patch { cause, title, diff: None, change: None, words }
}

/// The first clause, and the rest: "Make one step smaller: halve …" has a head of its own.
fn headed(words: &str) -> (String, String) {
    let end = [": ", ". "].iter().filter_map(|stop| words.find(stop)).min().unwrap_or(words.len());
    let (head, rest) = words.split_at(end);
    let rest = rest.get(2..).unwrap_or_default();
    (head.trim_end_matches('.').to_owned(), capitalised(rest))
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first =
        letters.next().map(|letter| letter.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

fn diff(joined: &Joined<'_>) -> Option<String> {
    let fix = joined.finding.fix.as_ref()?;
    let fixed = apply(joined.file, &fix.edits)?;
    let text = TextDiff::from_lines(joined.file.text.as_str(), fixed.as_str())
        .unified_diff()
        .context_radius(3)
        .header(
            &format!("a/{}", joined.file.path.trim_start_matches('/')),
            &format!("b/{}", joined.file.path.trim_start_matches('/')),
        )
        .to_string();
    Some(text).filter(|text| !text.is_empty())
}

/// The file's text with the edits applied; `None` when they overlap or lie outside it.
fn apply(file: &SourceFile, edits: &[Edit]) -> Option<String> {
    let mut fixed = String::with_capacity(file.text.len() + 64);
    let mut at = 0;
    for edit in edits {
        fixed.push_str(file.text.get(at..edit.start)?);
        fixed.push_str(&edit.text);
        at = edit.end.max(edit.start);
    }
    fixed.push_str(file.text.get(at..)?);
    Some(fixed)
}
