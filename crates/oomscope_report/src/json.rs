//! The diagnosis for programs: JSON of a stable, documented shape.

use std::io::{self, Write};

use oomscope_model::{
    Assessment, Bytes, Confidence, Diagnosis, Fact, Holder, MemoryError, Place, Verdict,
};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

use crate::clean::is_dangerous;
use crate::content::STEPS;
use crate::wire::{
    CauseV1, CausesV1, CulpritV1, DiagnosisV1, DirectionV1, EvidenceV1, ExcerptV1, FactV1,
    FigureV1, FixV1, FixesV1, HolderV1, MemoryErrorV1, OptionV1, OptionsV1, PlaceV1, ProblemV1,
    ProcessV1, ReportV1, RoleV1, SCHEMA_VERSION, SourceLineV1, StateV1, Step, Steps, Tool,
    VerdictV1, VerifiesV1, VerifyV1,
};

/// Writes `diagnosis` as JSON that the schema of [`json_schema`] describes.
///
/// Strings keep what the inputs say, with control characters escaped, so that a terminal may show
/// the JSON too.
pub fn render_json(diagnosis: &Diagnosis, out: &mut dyn Write) -> io::Result<()> {
    write_json(&wire(diagnosis), out)
}

/// The JSON Schema (draft 2020-12) of what [`render_json`] writes, as text that ends in a line end.
pub fn json_schema() -> String {
    schema_of::<DiagnosisV1>()
}

/// Writes a document of the wire types, with what a terminal would obey escaped.
pub(crate) fn write_json(document: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let formatter = Escaping(PrettyFormatter::new());
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, formatter);
    document.serialize(&mut serializer)?;
    out.write_all(b"\n")
}

/// The JSON Schema of a document of the wire types.
pub(crate) fn schema_of<T: JsonSchema>() -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    format!("{:#}\n", settings.into_generator().into_root_schema_for::<T>().as_value())
}

/// Escapes what JSON allows in a string but a terminal obeys or hides.
struct Escaping(PrettyFormatter<'static>);

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, found)) = rest.char_indices().find(|(_, one)| is_dangerous(*one)) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in found.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = after.get(found.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

fn wire(diagnosis: &Diagnosis) -> DiagnosisV1 {
    let open = diagnosis.causes.iter().filter(|one| one.confidence > Confidence::NONE);
    DiagnosisV1 {
        schema_version: SCHEMA_VERSION.to_owned(),
        tool: Tool::this(),
        verdict: match diagnosis.verdict {
            Verdict::Claimed(_) => VerdictV1::Claimed,
            Verdict::Undecided => VerdictV1::Undecided,
            Verdict::Healthy => VerdictV1::Healthy,
        },
        failure_seen: diagnosis.failure_seen,
        headline: diagnosis.headline.clone(),
        inputs: diagnosis.inputs.clone(),
        steps: steps(diagnosis),
        causes: open.map(cause).collect(),
        memory_error: diagnosis.state.memory_error.as_ref().map(memory_error),
        fixes: fixes(diagnosis),
        options: options(diagnosis),
        verify: verify(diagnosis),
        report: ReportV1 {
            root_cause: diagnosis.report.root_cause.clone(),
            fix: diagnosis.report.fix.clone(),
            verification: diagnosis.report.verification.clone(),
            prevention: diagnosis.report.prevention.clone(),
        },
        escalation: diagnosis.escalation.clone(),
        cold_findings: diagnosis.cold_findings.iter().map(fact).collect(),
        excerpts: diagnosis.excerpts.iter().map(excerpt).collect(),
        problems: diagnosis
            .problems
            .iter()
            .map(|problem| ProblemV1 {
                input: problem.input.clone(),
                at: problem.at.clone(),
                what: problem.what.clone(),
                hint: problem.hint.clone(),
            })
            .collect(),
    }
}

fn steps(diagnosis: &Diagnosis) -> Steps {
    let [state, culprit, causes, fix, option, check] = STEPS;
    Steps(
        step(1, state, state_step(diagnosis)),
        step(2, culprit, culprit_step(diagnosis)),
        step(3, causes, CausesV1 { assessed: diagnosis.causes.iter().map(cause).collect() }),
        step(4, fix, FixesV1 { fixes: fixes(diagnosis) }),
        step(5, option, OptionsV1 { options: options(diagnosis) }),
        step(6, check, VerifiesV1 { verify: verify(diagnosis) }),
    )
}

fn step<T>(number: u8, name: &str, content: T) -> Step<T> {
    Step { number, name: name.to_owned(), content }
}

fn state_step(diagnosis: &Diagnosis) -> StateV1 {
    let state = &diagnosis.state;
    StateV1 {
        moment: state.moment.clone(),
        figures: state
            .figures
            .iter()
            .map(|figure| FigureV1 {
                name: figure.name.to_owned(),
                bytes: figure.bytes.0,
                from: figure.from.clone(),
            })
            .collect(),
        notes: state.notes.clone(),
    }
}

fn culprit_step(diagnosis: &Diagnosis) -> CulpritV1 {
    let culprit = &diagnosis.culprit;
    CulpritV1 {
        asked: culprit.asked.as_ref().map(place),
        library_call: culprit.library_call.clone(),
        phase: culprit.phase.map(|phase| phase.name().to_owned()),
        live_bytes: number(culprit.live),
        holders: culprit.holders.iter().map(holder).collect(),
        roles: culprit
            .roles
            .iter()
            .map(|(role, bytes)| RoleV1 { role: role.name().to_owned(), bytes: bytes.0 })
            .collect(),
        notes: culprit.notes.clone(),
    }
}

fn holder(holder: &Holder) -> HolderV1 {
    HolderV1 {
        place: holder.place.as_ref().map(place),
        library_call: holder.library_call.clone(),
        role: holder.role.name().to_owned(),
        phase: holder.phase.name().to_owned(),
        bytes: holder.bytes.0,
        blocks: holder.blocks,
        oldest_event: holder.oldest.map(|event| event.0),
        youngest_event: holder.youngest.map(|event| event.0),
        callers: holder.callers.iter().map(place).collect(),
    }
}

fn cause(assessment: &Assessment) -> CauseV1 {
    let evidence = |direction, facts: &[Fact]| {
        let facts = facts.iter().map(fact);
        facts.map(|fact| EvidenceV1 { direction, fact }).collect::<Vec<_>>()
    };
    let mut all = evidence(DirectionV1::For, &assessment.evidence_for);
    all.extend(evidence(DirectionV1::Against, &assessment.evidence_against));
    CauseV1 {
        name: assessment.cause.name().to_owned(),
        confidence: assessment.confidence.as_fraction(),
        bytes: number(assessment.bytes),
        evidence: all,
        places: assessment.places.iter().map(place).collect(),
        settle: assessment.settle.clone(),
    }
}

fn memory_error(error: &MemoryError) -> MemoryErrorV1 {
    let processes: Vec<ProcessV1> = error
        .other_processes
        .iter()
        .map(|process| ProcessV1 { pid: process.pid, bytes: number(process.bytes) })
        .collect();
    MemoryErrorV1 {
        framework: error.framework.map(|framework| framework.name().to_owned()),
        is_memory_error: error.is_memory_error,
        requested_bytes: number(error.requested),
        device_index: error.device_index,
        capacity_bytes: number(error.capacity),
        free_bytes: number(error.free),
        this_process_bytes: number(error.this_process),
        allocated_bytes: number(error.allocated),
        reserved_unallocated_bytes: number(error.reserved_unallocated),
        reserved_bytes: number(error.reserved),
        private_pool_bytes: number(error.private_pool),
        cap_bytes: number(error.cap),
        other_processes: if processes.is_empty() { None } else { Some(processes) },
    }
}

fn fixes(diagnosis: &Diagnosis) -> Vec<FixV1> {
    let fixes = diagnosis.fixes.iter().map(|patch| FixV1 {
        cause: patch.cause.name().to_owned(),
        title: patch.title.clone(),
        diff: patch.diff.clone(),
        words: patch.words.clone(),
    });
    fixes.collect()
}

fn options(diagnosis: &Diagnosis) -> Vec<OptionV1> {
    let options = diagnosis.options.iter().map(|option| OptionV1 {
        title: option.title.clone(),
        saves_bytes: number(option.saves),
        why: option.why.clone(),
        cost: option.cost.clone(),
    });
    options.collect()
}

fn verify(diagnosis: &Diagnosis) -> Vec<VerifyV1> {
    let checks = diagnosis
        .verify
        .iter()
        .map(|check| VerifyV1 { run: check.run.clone(), expect: check.expect.clone() });
    checks.collect()
}

fn excerpt((at, lines): &(Place, Vec<(u32, String)>)) -> ExcerptV1 {
    ExcerptV1 {
        place: place(at),
        lines: lines
            .iter()
            .map(|(number, text)| SourceLineV1 { number: *number, text: text.clone() })
            .collect(),
    }
}

fn fact(fact: &Fact) -> FactV1 {
    FactV1 {
        text: fact.text.clone(),
        bytes: number(fact.bytes),
        file: fact.place.as_ref().map(|place| place.file.clone()),
        line: fact.place.as_ref().map(|place| place.line),
    }
}

fn place(place: &Place) -> PlaceV1 {
    PlaceV1 { file: place.file.clone(), line: place.line, function: place.function.clone() }
}

fn number(bytes: Option<Bytes>) -> Option<u64> {
    bytes.map(|bytes| bytes.0)
}
