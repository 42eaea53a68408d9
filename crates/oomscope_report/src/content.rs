//! What text and Markdown both say: the words for a verdict, the rows of the tables, and the order
//! in which they come. Layout is theirs; wording is here.

use crate::root::below;
use oomscope_model::{
    Assessment, Bytes, Cause, Confidence, Diagnosis, Fact, Holder, MemoryError, Phase, Place, Role,
    Verdict,
};

/// The method's steps, in order.
pub(crate) const STEPS: [&str; 6] =
    ["Capture state", "Culprit", "Causes", "Fix", "Options", "Verify"];

/// Holders beyond these are summed up in one row.
pub(crate) const SHOWN_HOLDERS: usize = 8;

/// `93%`, `<1%` for a share that rounds to nothing, `>100%` when the whole is not the whole.
pub(crate) fn percent(part: Bytes, whole: Bytes) -> String {
    let percent = part.share_of(whole) * 100.0;
    if part > whole {
        ">100%".to_owned()
    } else if part > Bytes::ZERO && percent < 0.5 {
        "<1%".to_owned()
    } else {
        format!("{percent:.0}%")
    }
}

/// A figure, or the word for not having it.
pub(crate) fn bytes_or_unknown(bytes: Option<Bytes>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string())
}

/// Figures padded so that their digits and their units stand in two columns.
pub(crate) fn aligned(figures: &[Option<Bytes>]) -> Vec<String> {
    let texts: Vec<String> = figures.iter().map(|figure| bytes_or_unknown(*figure)).collect();
    let parts = || texts.iter().filter_map(|text| text.split_once(' '));
    let digits = parts().map(|(digits, _)| digits.len()).max().unwrap_or(0);
    let units = parts().map(|(_, unit)| unit.len()).max().unwrap_or(0);
    let whole = match digits + units {
        0 => "unknown".len(),
        both => (both + 1).max("unknown".len()),
    };
    texts
        .iter()
        .map(|text| {
            let pair = text.split_once(' ').map(|(left, right)| format!("{left} {right:<units$}"));
            format!("{:>whole$}", pair.unwrap_or_else(|| text.clone()))
        })
        .collect()
}

/// A row of step 1: a figure and where it came from.
pub(crate) struct FigureRow<'a> {
    pub(crate) name: &'a str,
    pub(crate) bytes: Option<Bytes>,
    pub(crate) from: &'a str,
}

/// The figures of step 1, then those that every failure has but nothing here states.
pub(crate) fn figure_rows(diagnosis: &Diagnosis) -> Vec<FigureRow<'_>> {
    let mut rows: Vec<FigureRow<'_>> = diagnosis
        .state
        .figures
        .iter()
        .map(|figure| FigureRow {
            name: figure.name,
            bytes: Some(figure.bytes),
            from: &figure.from,
        })
        .collect();
    if diagnosis.verdict == Verdict::Healthy {
        return rows;
    }
    let stated = diagnosis.state.memory_error.as_ref();
    let stated = |read: fn(&MemoryError) -> Option<Bytes>| stated.and_then(read);
    for (name, bytes) in [
        ("requested", stated(|error| error.requested)),
        ("capacity", stated(|error| error.capacity)),
        ("free", stated(|error| error.free)),
        ("allocated", stated(|error| error.allocated)),
        ("reserved", stated(|error| error.reserved)),
    ] {
        if rows.iter().any(|row| row.name == name) {
            continue;
        }
        rows.push(FigureRow { name, bytes, from: if bytes.is_some() { "error text" } else { "" } });
    }
    rows
}

/// A row of the chart of step 2.
pub(crate) struct HolderRow<'a> {
    /// The holder; `None` for the row that sums up the rest.
    pub(crate) holder: Option<&'a Holder>,
    pub(crate) label: String,
    pub(crate) role: &'static str,
    pub(crate) bytes: Bytes,
}

/// Who holds the most; what is beyond [`SHOWN_HOLDERS`] is one row.
pub(crate) fn holder_rows<'a>(diagnosis: &'a Diagnosis, folder: &str) -> Vec<HolderRow<'a>> {
    let holders = &diagnosis.culprit.holders;
    // A single line is shown as itself rather than as "1 more line".
    let shown = if holders.len() == SHOWN_HOLDERS + 1 { holders.len() } else { SHOWN_HOLDERS };
    let mut rows: Vec<HolderRow<'_>> = holders
        .iter()
        .take(shown)
        .map(|holder| HolderRow {
            holder: Some(holder),
            label: holder
                .place
                .as_ref()
                .map_or_else(|| "no Python frame".to_owned(), |place| below(folder, place)),
            role: match holder.role {
                Role::Unknown => "",
                known => known.name(),
            },
            bytes: holder.bytes,
        })
        .collect();
    let rest = holders.get(shown..).unwrap_or_default();
    if !rest.is_empty() {
        rows.push(HolderRow {
            holder: None,
            label: format!("{} more lines", rest.len()),
            role: "",
            bytes: rest.iter().map(|holder| holder.bytes).sum(),
        });
    }
    rows
}

/// All live bytes, or what the holders add up to.
pub(crate) fn live(diagnosis: &Diagnosis) -> Bytes {
    let culprit = &diagnosis.culprit;
    culprit.live.unwrap_or_else(|| culprit.holders.iter().map(|holder| holder.bytes).sum())
}

/// The blocks of a holder in words: how they were made, how many, by whom it was called.
pub(crate) fn holder_story(holder: &Holder) -> String {
    let mut parts = Vec::new();
    if let Some(call) = &holder.library_call {
        parts.push(format!("made by `{call}`"));
    }
    if holder.phase != Phase::Unknown {
        parts.push(format!("during {}", holder.phase.name()));
    }
    parts.push(match holder.blocks {
        1 => "one block".to_owned(),
        blocks => format!("{blocks} blocks"),
    });
    match (holder.oldest, holder.youngest) {
        (Some(oldest), Some(youngest)) if oldest == youngest => {
            parts.push(format!("event {}", oldest.0));
        }
        (Some(oldest), Some(youngest)) => {
            parts.push(format!("events {} to {}", oldest.0, youngest.0));
        }
        (None, Some(youngest)) => {
            parts.push(format!("from before the trace to event {}", youngest.0));
        }
        (None, None) => parts.push("all older than the trace".to_owned()),
        (Some(oldest), None) => parts.push(format!("from event {}", oldest.0)),
    }
    let callers: Vec<String> = holder.callers.iter().take(3).map(short_place).collect();
    if !callers.is_empty() {
        parts.push(format!("called from {}", callers.join(" ← ")));
    }
    parts.join(", ")
}

/// File name and line.
pub(crate) fn short_place(place: &Place) -> String {
    format!("{}:{}", place.file_name(), place.line)
}

/// Who asked for the last bytes, in words.
pub(crate) fn asked(diagnosis: &Diagnosis, folder: &str) -> Option<String> {
    let culprit = &diagnosis.culprit;
    let mut parts = match (&culprit.asked, &culprit.library_call) {
        (Some(place), call) => {
            let function = place.function.as_ref().map(|name| format!(" in `{name}`"));
            let call = call.as_ref().map(|call| format!(" → `{call}`"));
            vec![
                format!("`{}`", below(folder, place)),
                function.unwrap_or_default(),
                call.unwrap_or_default(),
            ]
        }
        (None, Some(call)) => vec![format!("`{call}`, the line above it is not known")],
        (None, None) => return None,
    };
    if let Some(phase) = culprit.phase.filter(|phase| *phase != Phase::Unknown) {
        parts.push(format!(", during {}", phase.name()));
    }
    Some(parts.concat())
}

/// Step 3 in three groups.
pub(crate) struct CauseGroups<'a> {
    /// Something speaks for them, best first.
    pub(crate) open: Vec<&'a Assessment>,
    /// Little speaks for them.
    pub(crate) unlikely: Vec<&'a Assessment>,
    /// Something speaks against them and nothing holds.
    pub(crate) ruled_out: Vec<&'a Assessment>,
    /// Nothing was found either way.
    pub(crate) no_evidence: Vec<&'a Assessment>,
}

/// Below this a cause is named and no more: its evidence would bury that of the likely ones.
const UNLIKELY: Confidence = Confidence::percent(15);

/// Groups the assessments of step 3.
pub(crate) fn cause_groups(diagnosis: &Diagnosis) -> CauseGroups<'_> {
    let (open, closed): (Vec<_>, Vec<_>) =
        diagnosis.causes.iter().partition(|one| one.confidence > Confidence::NONE);
    // "No evidence for unknown" would say nothing.
    let closed = closed.into_iter().filter(|one| one.cause != Cause::Unknown);
    let (no_evidence, ruled_out) =
        closed.partition(|one: &&Assessment| one.evidence_against.is_empty());
    let (unlikely, open) = open.into_iter().partition(|one| one.confidence < UNLIKELY);
    CauseGroups { open, unlikely, ruled_out, no_evidence }
}

/// The assessment of the claimed cause.
pub(crate) fn claimed(diagnosis: &Diagnosis) -> Option<&Assessment> {
    let Verdict::Claimed(cause) = diagnosis.verdict else { return None };
    diagnosis.causes.iter().find(|one| one.cause == cause)
}

/// Confidence and bytes of a claim, in one line.
pub(crate) fn claim_line(assessment: &Assessment, live: Option<Bytes>) -> String {
    let confidence = assessment.confidence;
    let explains = match (assessment.bytes, live) {
        (Some(bytes), Some(live)) if bytes <= live && is_part_of_live(assessment.cause) => {
            format!("explains {bytes} of the {live} in use ({})", percent(bytes, live))
        }
        (Some(bytes), _) => format!("explains {bytes}"),
        (None, _) => return format!("{} confidence ({confidence})", confidence.word()),
    };
    format!("{} confidence ({confidence}) · {explains}", confidence.word())
}

/// Whether a cause's bytes are among those that live tensors hold; the others are free, foreign,
/// or were only asked for.
fn is_part_of_live(cause: Cause) -> bool {
    match cause {
        Cause::GradientsNotCleared
        | Cause::GraphRetained
        | Cause::ActivationsTooLarge
        | Cause::EvalRecordsGraph
        | Cause::ReferencesHeld
        | Cause::OutputsAccumulated
        | Cause::ModelTooLarge
        | Cause::OptimizerState
        | Cause::CheckpointLoad
        | Cause::RetainedBackward
        | Cause::KvCache => true,
        Cause::OversizedAllocation
        | Cause::Fragmentation
        | Cause::OtherProcess
        | Cause::RanksOnOneDevice
        | Cause::StreamHeld
        | Cause::PrivatePools
        | Cause::NonTorchMemory
        | Cause::ServingBudget
        | Cause::MemoryCap
        | Cause::HostMemory
        | Cause::DriverRefusal
        | Cause::NotOutOfMemory
        | Cause::Unknown => false,
    }
}

/// What was read, in words.
pub(crate) fn inputs(diagnosis: &Diagnosis) -> String {
    let (shown, more) = first_few(&diagnosis.inputs);
    let shown = shown.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// What is shown of a list that can be long, and how many are left out.
pub(crate) fn first_few<T>(items: &[T]) -> (&[T], usize) {
    const SHOWN: usize = 6;
    let shown = items.get(..SHOWN).unwrap_or(items);
    (shown, items.len() - shown.len())
}

/// The lines of a cause that none of its evidence names.
pub(crate) fn unnamed_places(assessment: &Assessment, folder: &str) -> Option<String> {
    let evidence = || assessment.evidence_for.iter().chain(&assessment.evidence_against);
    let is_named = |place: &&Place| {
        let named = |fact: &Fact| fact.place.as_ref().is_some_and(|one| one.is_same_line(place));
        evidence().any(named)
    };
    let unnamed = assessment.places.iter().filter(|place| !is_named(place)).take(3);
    let places: Vec<String> = unnamed.map(|place| format!("`{}`", below(folder, place))).collect();
    (!places.is_empty()).then(|| places.join(", "))
}

/// What the marked line of an excerpt has to do with the failure.
pub(crate) fn mark(diagnosis: &Diagnosis, place: &Place) -> Option<String> {
    if let Some(assessment) = claimed(diagnosis)
        && is_part_of_live(assessment.cause)
        && assessment.places.first().is_some_and(|first| first.is_same_line(place))
        && let Some(bytes) = assessment.bytes
    {
        return Some(format!("accounts for {bytes}"));
    }
    let culprit = &diagnosis.culprit;
    let is_asked = culprit.asked.as_ref().is_some_and(|line| line.is_same_line(place));
    if is_asked && diagnosis.verdict != Verdict::Healthy {
        return Some("asked for the bytes that were refused".to_owned());
    }
    let held: Bytes = culprit
        .holders
        .iter()
        .filter(|holder| holder.place.as_ref().is_some_and(|line| line.is_same_line(place)))
        .map(|holder| holder.bytes)
        .sum();
    if held > Bytes::ZERO {
        return Some(format!("{held} made here are still in use"));
    }
    None
}

/// What stands behind a fact: its bytes and its line, unless the fact itself names them.
pub(crate) fn fact_figures(fact: &Fact, folder: &str) -> Option<String> {
    let bytes = fact.bytes.map(|bytes| bytes.to_string());
    let bytes = bytes.filter(|bytes| !fact.text.contains(bytes.as_str()));
    let place = fact.place.as_ref().filter(|place| !fact.text.contains(&short_place(place)));
    let place = place.map(|place| format!("`{}`", below(folder, place)));
    match (bytes, place) {
        (Some(bytes), Some(place)) => Some(format!("({bytes}, {place})")),
        (Some(one), None) | (None, Some(one)) => Some(format!("({one})")),
        (None, None) => None,
    }
}

/// What stands above findings that are not the cause.
pub(crate) fn cold_title(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "Found in the source, though nothing grew from it:",
        Verdict::Claimed(_) | Verdict::Undecided => {
            "In the source too, but it holds nothing here, so not the cause:"
        }
    }
}

/// Names of causes, as prose.
pub(crate) fn names(assessments: &[&Assessment]) -> String {
    let names: Vec<&str> = assessments.iter().map(|one| one.cause.name()).collect();
    names.join(", ")
}

/// The four parts with their titles, in order.
pub(crate) fn four_parts(diagnosis: &Diagnosis) -> [(&'static str, &str); 4] {
    let report = &diagnosis.report;
    [
        ("Root cause", &report.root_cause),
        ("Fix", &report.fix),
        ("Verification", &report.verification),
        ("Prevention", &report.prevention),
    ]
}

#[cfg(test)]
mod tests {
    use oomscope_model::Bytes;

    use super::{aligned, percent};

    #[test]
    fn figures_stand_in_columns_of_digits_and_units() {
        let figures =
            [Some(Bytes::from_gib(80)), Some(Bytes(512)), None, Some(Bytes::from_mib(140))];
        assert_eq!(
            aligned(&figures),
            [" 80.00 GiB  ", "   512 bytes", "     unknown", "140.00 MiB  "]
        );
        assert_eq!(aligned(&[None]), ["unknown"]);
    }

    #[test]
    fn a_small_share_is_not_called_nothing() {
        assert_eq!(percent(Bytes(1), Bytes(1 << 30)), "<1%");
        assert_eq!(percent(Bytes::ZERO, Bytes::ZERO), "0%");
    }
}
