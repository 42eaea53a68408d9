//! Step 6: what to run and what to see.

use oomscope_model::{Cause, Verdict, VerifyStep};

use crate::causes;
use crate::context::Context;

/// Commands with what they should show once the fix is in.
pub(crate) fn plan(context: &Context<'_>, verdict: Verdict) -> Vec<VerifyStep> {
    let step = |run: &str, expect: String| VerifyStep { run: run.to_owned(), expect };
    match verdict {
        Verdict::Healthy => Vec::new(),
        Verdict::Undecided => vec![step(
            "the run again, with `torch.cuda.memory._record_memory_history()` at its start and a dump at the failure",
            "`oomscope diagnose` of the new snapshot names the lines that hold the memory"
                .to_owned(),
        )],
        Verdict::Claimed(cause) => {
            let mut steps = vec![step(
                "the same command with the fix",
                (causes::rule(cause).remedy)(context).verification,
            )];
            if let Some(rise) = context.growth().and_then(|growth| growth.per_period) {
                steps.push(step(
                    "print(torch.cuda.memory_allocated()) after each step",
                    format!("the same figure every step, where it rose by {rise} before"),
                ));
            }
            if let (Some(live), Some(capacity)) = (context.live(), context.capacity()) {
                steps.push(step(
                    "print(torch.cuda.max_memory_allocated()) at the end",
                    match context.growth() {
                        Some(growth) => format!("about {} instead of {live}, of {capacity}", live.saturating_sub(growth.total)),
                        None => format!("a peak that leaves head-room below {capacity}; it was {live} at the failure"),
                    },
                ));
            }
            if !matches!(cause, Cause::HostMemory | Cause::ServingBudget | Cause::NotOutOfMemory) {
                steps.push(step(
                    "oomscope diagnose on a snapshot of the fixed run",
                    "nothing found, exit code 0".to_owned(),
                ));
            }
            steps
        }
    }
}
