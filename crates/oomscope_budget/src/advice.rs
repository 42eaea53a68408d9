//! What would make it fit, cheapest first: equal mathematics before speed, speed before quality.

use crate::{
    Adapters, Architecture, AttentionKind, Checkpointing, Device, Fit, Interval, Loss, Optimizer,
    Precision, Quantization, Step, Task, Weight, Workload, fit, process, replayed_budget,
};

/// What a change costs the training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// The same numbers, as fast or faster.
    Nothing,
    /// The same numbers, slower.
    Speed,
    /// Other numbers.
    Quality,
}

/// A change, upon those before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What to do.
    pub what: &'static str,
    /// What it costs.
    pub cost: Cost,
    /// Expected time of a step, as a share of that before.
    pub slower: f64,
    /// Bytes that it takes off the process's likely peak.
    pub saves: u64,
    /// The process after it.
    pub process: Interval,
    /// Whether it fits then.
    pub fit: Fit,
}

/// What to do, what it costs, the expected time of a step, and how.
type Candidate = (&'static str, Cost, f64, fn(&Workload) -> Option<Workload>);

/// Every change in the order in which it is tried, with the expected time of a step. Slow-downs:
/// one more forward of three for checkpointing (Chen et al., arXiv:1604.06174); the others as
/// their projects report.
const CHANGES: &[Candidate] = &[
    ("attention by SDPA instead of eager", Cost::Nothing, 0.9, fused_attention),
    ("`AdamW(fused=True)`", Cost::Nothing, 0.98, fused_optimizer),
    ("gradients cleared to `None`, no accumulation", Cost::Nothing, 1.0, cleared),
    ("a chunked or fused cross-entropy", Cost::Nothing, 1.0, chunked_loss),
    ("checkpointing of every layer", Cost::Speed, 1.33, checkpointed),
    ("half the batch, accumulated over two", Cost::Speed, 1.1, half_batch),
    ("8-bit optimizer states", Cost::Quality, 1.02, few_bit_states),
    ("parameters in bfloat16", Cost::Quality, 0.8, half_precision),
    ("adapters of rank 16, the rest frozen", Cost::Quality, 0.9, adapted),
    ("frozen matrices in NF4", Cost::Quality, 1.3, packed),
];

/// The changes that make the process fit the device at its likely value, in the order in which
/// they are to be made; those that save nothing here are left out. Where all together do not
/// suffice, all that save.
pub fn advise(
    architecture: &Architecture,
    weights: &[Weight],
    workload: &Workload,
    device: &Device,
) -> Vec<Change> {
    let needs =
        |workload: &Workload| process(&replayed_budget(architecture, weights, workload), device);
    let fits = |needed: Interval| fit(needed, device.capacity()) != Fit::DoesNot;
    let mut chosen: Vec<&Candidate> = Vec::new();
    let mut at = workload.clone();
    for candidate in CHANGES {
        let before = needs(&at);
        if fits(before) {
            break;
        }
        let Some(changed) = (candidate.3)(&at) else { continue };
        // What saves less than a hundredth is not worth its cost.
        if before.likely.saturating_sub(needs(&changed).likely) >= before.likely / 100 {
            chosen.push(candidate);
            at = changed;
        }
    }
    // A later change may have made an earlier one needless: the costliest goes first.
    for number in (0..chosen.len()).rev() {
        let mut fewer = chosen.clone();
        fewer.remove(number);
        if needs(&all(workload, &fewer)).likely <= device.capacity() {
            chosen = fewer;
        }
    }
    let mut at = workload.clone();
    let mut before = needs(&at);
    let change = |&&(what, cost, slower, apply): &&Candidate| {
        at = apply(&at).unwrap_or_else(|| at.clone());
        let after = needs(&at);
        let saves = before.likely.saturating_sub(after.likely);
        before = after;
        let fit = fit(after, device.capacity());
        Change { what, cost, slower, saves, process: after, fit }
    };
    chosen.iter().map(change).collect()
}

/// A workload with all changes.
fn all(workload: &Workload, changes: &[&Candidate]) -> Workload {
    changes.iter().fold(workload.clone(), |at, (.., apply)| apply(&at).unwrap_or(at))
}

fn trains(workload: &Workload) -> Option<Workload> {
    (workload.task == Task::Train).then(|| workload.clone())
}

fn fused_attention(workload: &Workload) -> Option<Workload> {
    (workload.attention != AttentionKind::Fused)
        .then(|| Workload { attention: AttentionKind::Fused, ..workload.clone() })
}

fn fused_optimizer(workload: &Workload) -> Option<Workload> {
    let is_default = workload.optimizer == Optimizer::AdamW(Step::Foreach);
    let optimizer = Optimizer::AdamW(Step::Fused);
    trains(workload).filter(|_| is_default).map(|workload| Workload { optimizer, ..workload })
}

fn cleared(workload: &Workload) -> Option<Workload> {
    trains(workload)
        .filter(|workload| workload.keeps_gradients)
        .map(|workload| Workload { keeps_gradients: false, ..workload })
}

fn chunked_loss(workload: &Workload) -> Option<Workload> {
    trains(workload)
        .filter(|workload| matches!(workload.loss, Loss::Upcast | Loss::Plain))
        .map(|workload| Workload { loss: Loss::Chunked { chunks: 16 }, ..workload })
}

fn checkpointed(workload: &Workload) -> Option<Workload> {
    trains(workload)
        .filter(|workload| workload.checkpointing == Checkpointing::Nothing)
        .map(|workload| Workload { checkpointing: Checkpointing::Full, ..workload })
}

fn half_batch(workload: &Workload) -> Option<Workload> {
    let batch = workload.batch / 2;
    trains(workload).filter(|_| batch > 0).map(|workload| Workload {
        batch,
        keeps_gradients: true,
        ..workload
    })
}

fn few_bit_states(workload: &Workload) -> Option<Workload> {
    let is_adam = matches!(workload.optimizer, Optimizer::AdamW(_));
    let optimizer = Optimizer::Adam8bit { paged: false };
    trains(workload).filter(|_| is_adam).map(|workload| Workload { optimizer, ..workload })
}

fn half_precision(workload: &Workload) -> Option<Workload> {
    (workload.precision != Precision::Half && workload.quantization.is_none())
        .then(|| Workload { precision: Precision::Half, ..workload.clone() })
}

fn adapted(workload: &Workload) -> Option<Workload> {
    let targets = ["q_proj", "k_proj", "v_proj", "o_proj"].map(str::to_owned).to_vec();
    let adapters = Adapters { rank: 16, targets, element: 4, dropout: false };
    trains(workload)
        .filter(|workload| workload.adapters.is_none())
        .map(|workload| Workload { adapters: Some(adapters), ..workload })
}

fn packed(workload: &Workload) -> Option<Workload> {
    let quantization = Some(Quantization::Nf4 { double: true });
    (workload.adapters.is_some() && workload.quantization.is_none()).then(|| Workload {
        quantization,
        precision: Precision::Full,
        ..workload.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::advise;
    use crate::{Fit, Precision, Workload, device, read_config, weights};

    #[test]
    fn advice_for_a_model_that_is_far_too_large_ends_in_what_fits_and_has_nothing_needless() {
        let config = r#"{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
            "vocab_size": 128256}"#;
        let model = read_config(config).expect("a configuration").architecture;
        let workload = Workload {
            batch: 4,
            sequence: 2048,
            precision: Precision::Half,
            ..Workload::default()
        };
        let device = device("rtx-4090").expect("a device");
        let advice = advise(&model, &weights(&model), &workload, device);
        let last = advice.last().expect("advice");
        assert_ne!(last.fit, Fit::DoesNot);
        assert!(advice.iter().all(|change| !change.what.contains("8-bit")), "{advice:?}");
    }
}
