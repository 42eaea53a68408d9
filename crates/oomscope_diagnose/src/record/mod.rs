//! What the recorder's agent wrote about one process: `records.jsonl`, read into typed records.
//!
//! [`read`] never fails: a line that is broken, unfinished or too long is a problem and is left
//! out, and what came before and after it counts. It opens nothing: the paths in records are names
//! inside the process's folder, and one that leads out of it is dropped.

mod device;
mod driver;
mod line;
mod process;
mod repair;
mod run;

use oomscope_model::Problem;

pub use device::{DeviceUse, PhaseUse};
pub use driver::{device_at, device_of};
pub use line::{
    AgentProblem, Device, End, Exception, History, Oom, Record, Sample, Snapshot, Source, Start,
    Step, StepSource, Torch,
};
pub use process::ProcessRecord;
pub use run::RunInfo;

/// The layout that this version reads.
pub const SCHEMA_VERSION: u32 = 1;

/// No record of an honest agent comes near it.
const MAX_LINE: usize = 1 << 20;

/// A file of nothing but broken lines must not fill the memory with complaints.
const MAX_PROBLEMS: usize = 20;

/// Reads the text of one `records.jsonl`; `input` is what problems call it.
pub fn read(input: &str, text: &str) -> ProcessRecord {
    let mut process = ProcessRecord::default();
    let mut unread = Unread { input, problems: Vec::new(), left_out: 0 };
    for (index, raw) in text.split_inclusive('\n').enumerate() {
        let line = raw.trim();
        if line.is_empty() {
            continue;
        }
        match parse(line) {
            Ok(record) => {
                if let Some(what) = process.add(record) {
                    unread.push(index, what);
                }
            }
            Err(_) if !raw.ends_with('\n') => {
                unread.push(index, "the last record is unfinished".to_owned());
            }
            Err(what) => unread.push(index, what),
        }
    }
    process.unread = unread.into_problems();
    process
}

/// The JSON Schema of a line of `records.jsonl`, as text.
pub fn json_schema() -> String {
    schema_of::<Record>()
}

/// The JSON Schema of `run.json`, as text.
pub fn run_json_schema() -> String {
    schema_of::<RunInfo>()
}

/// The JSON Schema of a line of `devices.jsonl`, as text.
pub fn devices_json_schema() -> String {
    schema_of::<driver::Moment>()
}

fn schema_of<T: schemars::JsonSchema>() -> String {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    format!("{:#}\n", settings.into_generator().into_root_schema_for::<T>().as_value())
}

fn parse(line: &str) -> Result<Record, String> {
    if line.len() > MAX_LINE {
        return Err("the line is longer than 1.00 MiB".to_owned());
    }
    serde_json::from_str(line)
        .or_else(|error| match repair::lone_surrogates(line) {
            Some(mended) => serde_json::from_str(&mended),
            None => Err(error),
        })
        .map_err(|error| format!("not a record: {}", shortened(&error.to_string())))
}

/// An error may quote the line, which may be long.
fn shortened(message: &str) -> String {
    message.chars().take(200).collect()
}

/// Collects what could not be read, boundedly.
struct Unread<'a> {
    input: &'a str,
    problems: Vec<Problem>,
    left_out: usize,
}

impl Unread<'_> {
    fn push(&mut self, index: usize, what: String) {
        if self.problems.len() == MAX_PROBLEMS {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        let at = Some(format!("line {}", index.saturating_add(1)));
        self.problems.push(Problem { input: self.input.to_owned(), at, what, hint: None });
    }

    fn into_problems(mut self) -> Vec<Problem> {
        if self.left_out > 0 {
            self.problems.push(Problem {
                input: self.input.to_owned(),
                at: None,
                what: format!("{} more lines could not be read", self.left_out),
                hint: None,
            });
        }
        self.problems
    }
}

#[cfg(test)]
mod tests;
