//! `kv-cache`: the generation cache grows with length and batch.

use oomscope_model::{Bytes, Cause, Phase};

use super::case::{Case, blocks, rate};
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule =
    CauseRule { cause: Cause::KvCache, page: include_str!("kv_cache.md"), assess, remedy };

fn assess(context: &Context<'_>, case: &mut Case) {
    let cached = context.growth_is_cache();
    if let Some(growth) = context.growth().filter(|growth| cached || growth.blocks_get_larger) {
        if growth.blocks_get_larger {
            let what = "each token replaces the cached blocks by larger ones";
            case.speaks(if cached { 40 } else { 22 }, format!("{what}{}", rate(growth, "token")));
        } else {
            case.speaks(45, format!("each token adds to what is held{}", rate(growth, "token")));
        }
        if cached {
            case.speaks(27, "the growing blocks are made where a generation keeps keys and values");
        }
        case.explains(Some(growth.total));
        for line in growth.lines.iter().take(3) {
            case.speaks_at(
                0,
                format!("{} of the cache", blocks(line.blocks)),
                Some(line.bytes),
                line.place.as_ref(),
            );
            case.places(&line.callers);
        }
    }
    let generating = context.phase == Phase::Generation;
    if generating {
        case.speaks(12, "it died while generating");
        case.places(&context.asked);
    }
    for joined in context.warm_findings(Cause::KvCache).take(2) {
        let points = if joined.growing > Bytes::ZERO {
            25
        } else if generating {
            18
        } else {
            4
        };
        case.finding(points, joined);
    }
}

fn remedy(context: &Context<'_>) -> Remedy {
    let rate = context.growth().map_or_else(String::new, |growth| rate(growth, "token"));
    Remedy {
        fix: format!("Bound the cache: fewer sequences at once, a shorter context, half-precision or quantised keys and values, and a static cache that is allocated once and written in place instead of concatenated (concatenation needs old and new at the same time).{rate}"),
        verification: "Memory after prefill plus tokens × bytes per token (2 · layers · kv_heads · head_size · batch · bytes) stays below the capacity at the longest length.".to_owned(),
        prevention: "Compute the cache for the longest request before accepting it, or serve through a paged cache.".to_owned(),
    }
}
