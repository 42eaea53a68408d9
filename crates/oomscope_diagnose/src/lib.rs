//! From evidence to a diagnosis: [`diagnose`] is a pure function, the heart of oomscope.
//!
//! Before it, [`log::read`] turns error texts into evidence and [`oomscope_snapshot::summarise`] does the
//! same for snapshots. It never reads, prints or runs anything, and every claim that it makes
//! carries its evidence.
//!
//! ```
//! use oomscope_model::{Cause, Evidence, Verdict};
//! let text = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 15.66 GiB. \
//!     GPU 0 has a total capacity of 8.00 GiB of which 6.27 GiB is free. Including non-PyTorch \
//!     memory, this process has 1.73 GiB memory in use. Of the allocated memory 1.32 GiB is \
//!     allocated by PyTorch, and 16.45 MiB is reserved by PyTorch but unallocated.";
//! let evidence = Evidence { logs: vec![oomscope_diagnose::log::read("error.txt", text)], ..Evidence::default() };
//! let diagnosis = oomscope_diagnose::diagnose(&evidence);
//! assert_eq!(diagnosis.verdict, Verdict::Claimed(Cause::OversizedAllocation));
//! ```

mod causes;
mod context;
mod join;
pub mod log;
pub mod record;
pub mod replay;
mod steps;
pub mod verify;

use oomscope_model::{Diagnosis, Evidence, Verdict};

pub use causes::page as cause_page;
use context::Context;

/// The six steps over all the evidence: state, culprit, causes, fixes, options, verification.
pub fn diagnose(evidence: &Evidence) -> Diagnosis {
    let context = Context::new(evidence);
    let causes = causes::assess_all(&context);
    let verdict = match causes.first() {
        Some(best) if best.confidence.is_claim() => Verdict::Claimed(best.cause),
        _ if context.failed() => Verdict::Undecided,
        _ => Verdict::Healthy,
    };
    Diagnosis {
        verdict,
        failure_seen: context.failed(),
        headline: steps::report::headline(&context, verdict, &causes),
        inputs: evidence.inputs.clone(),
        state: steps::state::capture(&context),
        culprit: steps::culprit::identify(&context),
        cold_findings: steps::culprit::cold_findings(&context, &causes),
        fixes: steps::fix::patches(&context, &causes),
        options: steps::options::savings(&context, verdict),
        verify: steps::verify::plan(&context, verdict),
        report: steps::report::four_parts(&context, verdict, &causes),
        escalation: steps::escalate::path(&context, verdict),
        excerpts: steps::excerpt::around(&context, &causes),
        causes,
        problems: evidence.problems.clone(),
    }
}
