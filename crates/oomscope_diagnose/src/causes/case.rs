//! The case for and against one cause while it is assessed: points, facts, places.

use oomscope_model::{
    Assessment, Bytes, Cause, Confidence, Fact, Growth, Held, Place, Severity, SignalKind,
};

use crate::context::{Context, Failed};
use crate::join::Joined;

/// Points for and against one cause, with the facts that earned them.
pub(crate) struct Case {
    cause: Cause,
    points: i32,
    bytes: Option<Bytes>,
    evidence_for: Vec<Fact>,
    evidence_against: Vec<Fact>,
    places: Vec<Place>,
    settle: Option<String>,
}

/// Nothing is ever certain from the outside.
const MOST: i32 = 97;
/// More places than this tell nobody anything.
const MOST_PLACES: usize = 10;

impl Case {
    /// A case with what the logs' own words say.
    pub(super) fn open(cause: Cause, context: &Context<'_>) -> Case {
        let mut case = Case {
            cause,
            points: 0,
            bytes: None,
            evidence_for: Vec::new(),
            evidence_against: Vec::new(),
            places: Vec::new(),
            settle: None,
        };
        // A recorded trace says more than words about the same moment.
        let traced =
            context.snapshot.is_some_and(|snapshot| snapshot.failed() && snapshot.events > 0);
        let mut support = if traced { 10 } else { 25 };
        for (input, signal) in context.signals() {
            let name = input.rsplit(['/', '\\']).next().unwrap_or(input);
            let text = format!("{} ({name}, line {})", signal.what, signal.line);
            match signal.kind {
                SignalKind::Decisive(of) if of == cause => case.speaks(88, text),
                SignalKind::Supports(of) if of == cause => {
                    case.speaks(support, text);
                    support = support.min(8);
                }
                SignalKind::Contradicts(of) if of == cause => case.denies(30, text),
                SignalKind::Decisive(_) | SignalKind::Supports(_) | SignalKind::Contradicts(_) => {}
            }
        }
        case.findings_without_snapshot(context);
        case
    }

    /// Findings of this case's cause, where no snapshot can warm or cool them: a defect on the
    /// failing path, or one anywhere while printed memory grows, explains the failure; without a
    /// failure it is what was found.
    fn findings_without_snapshot(&mut self, context: &Context<'_>) {
        if context.snapshot.is_some() {
            return;
        }
        let grows = context.printed_growth().is_some();
        for (nth, joined) in context.findings_of(self.cause).take(3).enumerate() {
            let points = match (joined.finding.severity, joined.finding.held) {
                (Severity::Note, _) | (_, Held::Nothing | Held::Nodes) => 3,
                (Severity::Error, _) if joined.on_failing_path || !context.failed() => 58,
                (Severity::Warning, _) if joined.on_failing_path => 45,
                (Severity::Error, _) if grows => 34,
                (Severity::Warning, _) if grows || !context.failed() => 22,
                (Severity::Error | Severity::Warning, _) => 8,
            };
            // Many findings of one kind in a tree of source are no stronger case than one.
            self.finding(if nth == 0 { points } else { 0 }, joined);
        }
    }

    /// Something speaks for the cause.
    pub(super) fn speaks(&mut self, points: i32, text: impl Into<String>) {
        self.points += points;
        self.evidence_for.push(Fact { text: text.into(), bytes: None, place: None });
    }

    /// Bytes at a line speak for the cause.
    pub(super) fn speaks_at(
        &mut self,
        points: i32,
        text: impl Into<String>,
        bytes: Option<Bytes>,
        place: Option<&Place>,
    ) {
        self.points += points;
        self.evidence_for.push(Fact { text: text.into(), bytes, place: place.cloned() });
        self.place(place);
    }

    /// Something speaks against the cause.
    pub(super) fn denies(&mut self, points: i32, text: impl Into<String>) {
        self.points -= points;
        self.evidence_against.push(Fact { text: text.into(), bytes: None, place: None });
    }

    /// A source finding speaks for it: warm ones with their bytes, cold ones hardly.
    pub(super) fn finding(&mut self, points: i32, joined: &Joined<'_>) {
        let finding = joined.finding;
        let warmth = if joined.growing > Bytes::ZERO {
            format!("{} that outlive their step come from this function", joined.growing)
        } else if joined.live > Bytes::ZERO {
            format!("{} of the live bytes come from this function", joined.live)
        } else if joined.on_failing_path {
            "the failing request came through this function".to_owned()
        } else {
            "no recording says how much it holds".to_owned()
        };
        let bytes = if joined.growing > Bytes::ZERO { joined.growing } else { joined.live };
        self.speaks_at(
            points,
            format!("{} {}: {}; {warmth}", finding.rule, finding.name, finding.message),
            Some(bytes).filter(|bytes| *bytes > Bytes::ZERO),
            Some(&finding.place),
        );
        for step in &finding.path {
            self.place(Some(&step.place));
        }
    }

    /// The bytes that the cause explains.
    pub(super) fn explains(&mut self, bytes: Option<Bytes>) {
        self.bytes = self.bytes.max(bytes);
    }

    /// A line that belongs to the case.
    pub(super) fn place(&mut self, place: Option<&Place>) {
        let Some(place) = place else { return };
        let known = self.places.iter().any(|other| other.is_same_line(place));
        if !known && self.places.len() < MOST_PLACES {
            self.places.push(place.clone());
        }
    }

    /// Several lines, in order.
    pub(super) fn places<'p>(&mut self, places: impl IntoIterator<Item = &'p Place>) {
        for place in places {
            self.place(Some(place));
        }
    }

    /// What would settle it.
    pub(super) fn settle(&mut self, text: impl Into<String>) {
        self.settle.get_or_insert_with(|| text.into());
    }

    /// The points so far.
    pub(super) fn points(&self) -> i32 {
        self.points
    }

    /// The assessment, and the points before they are cut to a confidence: they rank equals.
    pub(super) fn close(self) -> (i32, Assessment) {
        let confidence = Confidence::percent(u8::try_from(self.points.clamp(0, MOST)).unwrap_or(0));
        let points = self.points;
        let assessment = Assessment {
            cause: self.cause,
            confidence,
            bytes: self.bytes,
            evidence_for: self.evidence_for,
            evidence_against: self.evidence_against,
            places: self.places,
            settle: self.settle,
        };
        (points, assessment)
    }
}

/// A share as whole percent, for sentences.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// `1 block`, `12 blocks`.
pub(super) fn blocks(count: u64) -> String {
    format!("{count} {}", if count == 1 { "block" } else { "blocks" })
}

/// What grows, as the beginning of a sentence.
pub(super) fn left_behind(growth: &Growth) -> String {
    match growth.per_period {
        Some(bytes) if growth.growing_periods * 10 < growth.periods * 8 => format!(
            "{} of {} steps leave {bytes} behind each",
            growth.growing_periods, growth.periods
        ),
        Some(bytes) => format!("each step leaves {bytes} behind"),
        None if growth.backward_ran => {
            format!("{} are older than the last backward and still held", growth.total)
        }
        None => format!("{} were made in earlier calls and are still held", growth.total),
    }
}

/// ` (+12.00 MiB a step)`, or nothing where it is not known.
pub(super) fn rate(growth: &Growth, step: &str) -> String {
    growth.per_period.map_or_else(String::new, |bytes| format!(" (+{bytes} a {step})"))
}
