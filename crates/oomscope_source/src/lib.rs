//! Reads Python source and finds where GPU memory is held, as findings with a path and a fix.
//!
//! Each file is parsed once; a walk over every function follows which values carry an autograd
//! graph, which lists and attributes keep them, where grad mode is off and where backward frees a
//! graph, with summaries of functions across all given files. The rules read the facts of that
//! walk. No I/O; no input panics or recurses without bound. The only crate that names `ruff_*`.
//!
//! ```
//! use oomscope_source::{InputFile, analyse};
//! let text = "import torch\n\ndef train(model, loader, opt):\n    total = 0.0\n    \
//!     for x, y in loader:\n        loss = torch.nn.functional.cross_entropy(model(x), y)\n        \
//!     opt.zero_grad()\n        loss.backward()\n        opt.step()\n        total += loss\n    \
//!     return total\n";
//! let file = InputFile { path: "train.py".to_owned(), text: text.to_owned() };
//! let evidence = analyse(vec![file]);
//! assert_eq!(evidence.files[0].findings[0].rule, "OOM101");
//! assert_eq!(evidence.files[0].findings[0].place.line, 10);
//! ```

pub mod allow;
pub mod apply;
mod call;
mod callers;
mod chunks;
mod edit;
mod environment;
mod expression;
mod facts;
mod grad_mode;
mod imports;
mod index;
mod nesting;
pub mod notebook;
mod parse;
mod pieces;
mod placement;
mod project;
mod report;
mod retention;
mod rounds;
mod rules;
mod search;
pub mod selection;
mod sites;
mod statement;
mod store;
mod summary;
mod tensor_call;
mod torch_api;
mod training_call;
mod value;
mod walk;

use oomscope_model::{Problem, SourceEvidence, SourceFile};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

pub use parse::holds_unit_tests;
pub use rules::{Group, Rule, rule, rules};

/// A file to analyse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// The path as the user named it; its extension tells notebooks from modules.
    pub path: String,
    /// The text, or the notebook's JSON.
    pub text: String,
}

/// Analyses files together: calls between them are followed.
pub fn analyse(files: Vec<InputFile>) -> SourceEvidence {
    analyse_with_problems(files).0
}

/// As [`analyse`], with what could not be read.
pub fn analyse_with_problems(files: Vec<InputFile>) -> (SourceEvidence, Vec<Problem>) {
    let Checked { evidence, problems, .. } = run(files, Wanted::Evidence);
    (evidence, problems)
}

/// What an analysis is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Findings in all files alike; nothing is said of functions.
    Findings,
    /// All that a diagnosis can use.
    Evidence,
}

/// What an analysis finds before anybody selects or allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The files with all findings.
    pub evidence: SourceEvidence,
    /// The allowing comments of each file.
    pub allows: Vec<Vec<allow::Allow>>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// Findings alone, with allowing comments and what could not be read; what functions do is left
/// out. Unit tests are taken for programs: who does not want that leaves them out
/// ([`holds_unit_tests`]).
pub fn check(files: Vec<InputFile>) -> Checked {
    run(files, Wanted::Findings)
}

fn run(files: Vec<InputFile>, wanted: Wanted) -> Checked {
    let chunks = chunks::chunks(&files);
    let mut files: Vec<Option<InputFile>> = files.into_iter().map(Some).collect();
    let chunks: Vec<(Vec<usize>, Vec<InputFile>)> = chunks
        .into_iter()
        .map(|numbers| {
            let taken = numbers.iter().filter_map(|number| files.get_mut(*number)?.take());
            let taken = taken.collect();
            (numbers, taken)
        })
        .collect();
    let mut analysed: Vec<(usize, Analysed)> = chunks
        .into_par_iter()
        .flat_map_iter(|(numbers, files)| numbers.into_iter().zip(analyse_together(files, wanted)))
        .collect();
    analysed.sort_by_key(|(number, _)| *number);
    let mut checked = Checked::default();
    for (_, analysed) in analysed {
        checked.evidence.files.push(analysed.file);
        checked.allows.push(analysed.allows);
        checked.problems.extend(analysed.problem);
    }
    checked
}

struct Analysed {
    file: SourceFile,
    allows: Vec<allow::Allow>,
    problem: Option<Problem>,
}

fn analyse_together(files: Vec<InputFile>, wanted: Wanted) -> Vec<Analysed> {
    let parsed: Vec<parse::Parsed> = files.into_par_iter().map(parse::parse).collect();
    let files = project::analyse_parsed(&parsed, wanted);
    let whole = parsed.into_iter().zip(files).map(|(parsed, mut file)| {
        file.text = parsed.text;
        Analysed { file, allows: parsed.allows, problem: parsed.problem }
    });
    whole.collect()
}
