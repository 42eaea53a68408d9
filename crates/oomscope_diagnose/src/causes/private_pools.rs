//! `private-pools`: CUDA-graph or compile pools hold memory.

use oomscope_model::{Bytes, Cause};

use super::case::{Case, percent};
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::PrivatePools,
    page: include_str!("private_pools.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    let pools = context.memory.as_ref().and_then(|memory| memory.private_pool);
    let Some(pools) = pools.filter(|bytes| *bytes > Bytes::ZERO) else { return };
    let whole = context.capacity().or_else(|| context.reserved()).unwrap_or_default();
    let share = pools.share_of(whole);
    let points = match share {
        0.4.. => 74,
        0.2.. => 55,
        0.08.. => 30,
        _ => 10,
    };
    case.speaks_at(
        points,
        format!("private pools hold {pools}, {} of the device", percent(share)),
        Some(pools),
        None,
    );
    case.explains(Some(pools));
    for word in
        ["CUDAGraph(", "cuda.graph(", "make_graphed_callables", "reduce-overhead", "MemPool("]
    {
        if let Some(place) = context.source_mentions(word) {
            case.speaks_at(
                8,
                format!("the source uses `{}`", word.trim_end_matches('(')),
                None,
                Some(&place),
            );
        }
    }
    case.settle(
        "segments by `segment_pool_id` in a snapshot: one pool a captured graph, or one shared?",
    );
}

fn remedy(_: &Context<'_>) -> Remedy {
    Remedy {
        fix: "Capture fewer graphs and share their memory: pass one `pool=torch.cuda.graph_pool_handle()` to every capture, capture the largest shape first, round shapes to a few sizes; with `torch.compile`, leave `mode=\"reduce-overhead\"` or set `torch._inductor.config.triton.cudagraph_trees` options.".to_owned(),
        verification: "Reserved bytes no longer rise with each new shape; a snapshot shows one private pool.".to_owned(),
        prevention: "Bound the set of captured shapes where the server or loop starts, not at first sight of a shape.".to_owned(),
    }
}
