//! `kv-cache`: the generation cache grows with length and batch.

use oomscope_model::{Bytes, Cause, Phase, Place};

use super::case::{Case, blocks};
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule =
    CauseRule { cause: Cause::KvCache, page: include_str!("kv_cache.md"), assess, remedy };

/// Names of functions, files and variables that keep keys and values of past tokens.
const CACHE_WORDS: &[&str] = &["cache", "past", "kv", "decode", "generate", "attn", "attention"];

fn assess(context: &Context<'_>, case: &mut Case) {
    let generating = context.phase == Phase::Generation
        || context.asked.iter().any(|place| says(place, &["generate", "decode", "sample", "beam"]));
    if let Some(growth) = context.growth() {
        let cached = growth.lines.iter().take(3).any(|line| {
            line.place.iter().chain(&line.callers).any(|place| says(place, CACHE_WORDS))
                || line
                    .place
                    .as_ref()
                    .and_then(|place| context.line_text(place))
                    .is_some_and(|text| mentions(text, &["past", "cache", "kv"]))
        });
        if growth.blocks_get_larger {
            case.speaks(
                if cached { 40 } else { 22 },
                format!(
                    "each token replaces the cached blocks by larger ones: +{} a token",
                    growth.per_period
                ),
            );
        } else if cached && generating {
            case.speaks(30, format!("each token adds {}", growth.per_period));
        }
        if case.points() > 0 {
            if cached {
                case.speaks(
                    12,
                    "the growing blocks are made where attention keeps keys and values",
                );
            }
            case.explains(Some(growth.total));
            for line in growth.lines.iter().take(3) {
                case.speaks_at(
                    0,
                    format!("{} of the cache", blocks(line.blocks)),
                    Some(line.bytes),
                    line.place.as_ref(),
                );
            }
        }
    }
    if generating {
        case.speaks(if case.points() > 0 { 15 } else { 12 }, "it died while generating");
        case.places(&context.asked);
    }
    for joined in context.findings_of(Cause::KvCache).filter(|joined| joined.is_warm()).take(2) {
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

fn says(place: &Place, words: &[&str]) -> bool {
    place.function.as_deref().is_some_and(|function| mentions(function, words))
        || mentions(place.file_name(), words)
}

fn mentions(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| text.contains(word))
}

fn remedy(context: &Context<'_>) -> Remedy {
    let rate = context.growth().map_or_else(String::new, |growth| {
        format!(" It grows by {} a token here.", growth.per_period)
    });
    Remedy {
        fix: format!("Bound the cache: fewer sequences at once, a shorter context, half-precision or quantised keys and values, and a static cache that is allocated once and written in place instead of concatenated (concatenation needs old and new at the same time).{rate}"),
        verification: "Memory after prefill plus tokens × bytes per token (2 · layers · kv_heads · head_size · batch · bytes) stays below the capacity at the longest length.".to_owned(),
        prevention: "Compute the cache for the longest request before accepting it, or serve through a paged cache.".to_owned(),
    }
}
