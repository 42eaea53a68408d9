//! The answer: six steps, ranked causes, and the four parts that every report ends with.

use crate::{
    Bytes, Cause, Confidence, Edit, FixSafety, Holder, MemoryError, Phase, Place, Problem, Role,
};

/// One statement with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The statement, one sentence, no full stop.
    pub text: String,
    /// The bytes that it is about.
    pub bytes: Option<Bytes>,
    /// The line that it is about.
    pub place: Option<Place>,
}

/// A figure of step 1, with where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// What it is: `requested`, `capacity`, …
    pub name: &'static str,
    /// The bytes.
    pub bytes: Bytes,
    /// Where it came from: `snapshot at event 4711`, `log line 12`.
    pub from: String,
}

/// Step 1: the memory state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateStep {
    /// The moment that is described, in words.
    pub moment: String,
    /// The figures that are known.
    pub figures: Vec<Figure>,
    /// The error text's own figures, completed from the snapshot.
    pub memory_error: Option<MemoryError>,
    /// What else belongs to the state: other processes, ranks that died later, limits.
    pub notes: Vec<String>,
}

/// Step 2: who asked last, who holds most.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CulpritStep {
    /// The line that asked for the last bytes.
    pub asked: Option<Place>,
    /// The library call below it.
    pub library_call: Option<String>,
    /// What the program was doing.
    pub phase: Option<Phase>,
    /// Who holds the most, most first.
    pub holders: Vec<Holder>,
    /// Live bytes by role, most first.
    pub roles: Vec<(Role, Bytes)>,
    /// All live bytes, the whole that the holders are parts of.
    pub live: Option<Bytes>,
    /// What limits this step.
    pub notes: Vec<String>,
}

/// Step 3, one cause: what was found for and against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The cause.
    pub cause: Cause,
    /// How sure.
    pub confidence: Confidence,
    /// The bytes that it explains.
    pub bytes: Option<Bytes>,
    /// What speaks for it.
    pub evidence_for: Vec<Fact>,
    /// What speaks against it.
    pub evidence_against: Vec<Fact>,
    /// The lines, most telling first.
    pub places: Vec<Place>,
    /// What would settle it.
    pub settle: Option<String>,
}

/// What the whole comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A cause is claimed.
    Claimed(Cause),
    /// Something failed, the evidence does not decide.
    Undecided,
    /// No failure and no defect found.
    Healthy,
}

/// Step 4: a patch, or the change in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The cause that it removes.
    pub cause: Cause,
    /// What it does, in the imperative.
    pub title: String,
    /// A unified diff against the user's file; `None` when only words can be given.
    pub diff: Option<String>,
    /// The edits behind the diff.
    pub change: Option<FileChange>,
    /// The change in words, or how to use the diff.
    pub words: String,
}

/// Edits of one file of the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// Its path as the evidence has it.
    pub path: String,
    /// How sure the edits keep what the program does.
    pub safety: FixSafety,
    /// In the order of the text.
    pub edits: Vec<Edit>,
}

/// Step 5: something that saves memory in this case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavingOption {
    /// What to do.
    pub title: String,
    /// What it saves here, where it can be computed.
    pub saves: Option<Bytes>,
    /// How the figure comes about, or what it depends on.
    pub why: String,
    /// What it costs.
    pub cost: String,
}

/// Step 6: what to run and what to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyStep {
    /// What to run.
    pub run: String,
    /// What to see.
    pub expect: String,
}

/// The four parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FourParts {
    /// Why it failed.
    pub root_cause: String,
    /// What to change.
    pub fix: String,
    /// How to see that it is fixed.
    pub verification: String,
    /// How to keep it from coming back.
    pub prevention: String,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// What it comes to.
    pub verdict: Verdict,
    /// Whether any evidence shows a failure; without one a claim is a defect that has not yet cost
    /// a run.
    pub failure_seen: bool,
    /// The verdict in one sentence.
    pub headline: String,
    /// What was read.
    pub inputs: Vec<String>,
    /// Step 1.
    pub state: StateStep,
    /// Step 2.
    pub culprit: CulpritStep,
    /// Step 3: every cause of the catalogue, best first.
    pub causes: Vec<Assessment>,
    /// Source findings in places that hold no live bytes: not the cause.
    pub cold_findings: Vec<Fact>,
    /// Step 4, best first.
    pub fixes: Vec<Patch>,
    /// Step 5, most bytes first.
    pub options: Vec<SavingOption>,
    /// Step 6.
    pub verify: Vec<VerifyStep>,
    /// The four parts.
    pub report: FourParts,
    /// When nothing decides: what to capture next and whom to ask, in order.
    pub escalation: Vec<String>,
    /// Source around the places that matter: place, then lines with their numbers.
    pub excerpts: Vec<(Place, Vec<(u32, String)>)>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}
