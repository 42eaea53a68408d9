//! What is too large to be computed with: no device and no file system holds it.

use crate::architecture::{Architecture, FeedForward, Layer, Mixer, Tower};
use crate::workload::Workload;

/// Bytes that no sum here may reach, so that none overflows.
const MOST: u128 = 1 << 58;

/// Whether all sums of a budget stay far below what 64 bits hold.
pub(crate) fn is_computable(architecture: &Architecture, workload: &Workload) -> bool {
    let tokens = |tower: &Tower| {
        let own = tower.fixed_tokens.unwrap_or(0).max(workload.sequence);
        let own = own.max(workload.target_sequence.unwrap_or(0));
        u128::from(own) + u128::from(tower.added_tokens)
    };
    let longest = architecture.towers.iter().map(tokens).max().unwrap_or(0);
    let rows = longest.saturating_mul(u128::from(workload.batch));
    let towers = architecture.towers.iter().map(|tower| {
        let layers: u128 = tower.layers.iter().map(|(count, _)| u128::from(*count)).sum();
        let widest = tower.layers.iter().map(|(_, layer)| widest(layer)).max().unwrap_or(0);
        let head = tower.head.as_ref().map_or(0, |head| head.outputs);
        let table = [head, tower.embedding.vocabulary, tower.embedding.positions, tower.hidden];
        let table = table.into_iter().chain(tower.embedding.patch_inputs.iter().copied()).max();
        let table = u128::from(table.unwrap_or(0));
        let hidden = u128::from(tower.hidden.max(tower.embedding.width.unwrap_or(0)));
        let heads = tower.layers.iter().map(|(_, layer)| heads(layer)).max().unwrap_or(0);
        let cells = rows.saturating_mul(u128::from(heads)).saturating_mul(longest);
        let activations = rows.saturating_mul(widest + hidden).saturating_add(cells);
        let matrices = hidden.saturating_mul(widest.saturating_mul(4));
        activations
            .saturating_add(matrices)
            .saturating_mul(layers.saturating_add(2))
            .saturating_add(rows.saturating_add(hidden).saturating_mul(table))
    });
    let all = towers.fold(0u128, u128::saturating_add);
    let rank = workload.adapters.as_ref().map_or(1, |adapters| u128::from(adapters.rank) + 1);
    all.saturating_mul(rank).saturating_mul(64) < MOST
}

/// The widest that the stream gets in a layer, all its experts included.
fn widest(layer: &Layer) -> u128 {
    let wide = u128::from;
    let mixer = match &layer.mixer {
        Mixer::Nothing => 0,
        Mixer::Attention(shape) => {
            (wide(shape.heads) + 2 * wide(shape.key_value_heads)) * wide(shape.head) * 2
        }
        Mixer::Latent(shape) => {
            let rank = wide(shape.query_rank.unwrap_or(0)) + wide(shape.key_value_rank);
            wide(shape.heads) * (wide(shape.head) + wide(shape.rotary) + wide(shape.value)) + rank
        }
        Mixer::StateSpace(shape) => 4 * wide(shape.inner) * wide(shape.state.max(1)),
    };
    let inner = match &layer.feed_forward {
        FeedForward::Nothing => 0,
        FeedForward::Dense(dense) => 3 * wide(dense.width),
        FeedForward::Experts(experts) => {
            let shared = experts.shared.as_ref().map_or(0, |shared| wide(shared.width));
            3 * wide(experts.expert.width) * wide(experts.count.max(1)) + 3 * shared
        }
    };
    mixer.saturating_add(inner)
}

fn heads(layer: &Layer) -> u64 {
    match &layer.mixer {
        Mixer::Attention(shape) => shape.heads,
        Mixer::Latent(shape) => shape.heads,
        Mixer::Nothing | Mixer::StateSpace(_) => 0,
    }
}
