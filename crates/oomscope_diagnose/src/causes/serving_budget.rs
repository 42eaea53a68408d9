//! `serving-budget`: a server's own budget does not fit.

use oomscope_model::{Cause, Framework, Phase};

use super::case::Case;
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::ServingBudget,
    page: include_str!("serving_budget.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    let server =
        context.memory.as_ref().and_then(|memory| memory.framework).is_some_and(|framework| {
            matches!(framework, Framework::Vllm | Framework::Sglang | Framework::Tgi)
        });
    if server {
        case.speaks(
            15,
            "the process is an inference server, which takes a planned share of the device",
        );
    }
    if context.phase == Phase::ServerStart {
        case.speaks(25, "it died while the server planned or took its memory");
    }
}

fn remedy(_: &Context<'_>) -> Remedy {
    Remedy {
        fix: "Make the plan fit: vLLM `--gpu-memory-utilization`, `--max-model-len`, `--max-num-seqs`, `--kv-cache-dtype fp8`, `--tensor-parallel-size`; SGLang `--mem-fraction-static`, `--context-length`; free the device of other processes first, since the share is taken of the whole card.".to_owned(),
        verification: "At start the server reports at least one whole request's worth of cache blocks and stays up under the longest request.".to_owned(),
        prevention: "Derive utilisation from weights + cache for the longest request + head-room, and check free memory before start.".to_owned(),
    }
}
