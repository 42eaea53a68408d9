//! Published measurements beside what the budget says of the same configuration.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)] // tests read files and say what they skip

use std::path::PathBuf;

use oomscope_budget::{
    Activation, Adapters, Architecture, Attention, AttentionKind, Budget, Checkpointing, Dense,
    Embedding, FeedForward, Fit, Head, Interval, Layer, Loss, Mixer, Norm, NormKind, Optimizer,
    Parallel, Precision, Quantization, Role, Sharding, Step, Task, Tower, Weight, Workload, fit,
    process, read_config, replayed_budget, weights,
};
use serde_json::Value;

/// The folder of shared inputs beside the project.
fn shared() -> PathBuf {
    std::env::var_os("OOMSCOPE_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    )
}

fn rows() -> Option<Vec<Value>> {
    let text = std::fs::read_to_string(shared().join("data/measured/measured.jsonl")).ok()?;
    Some(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// The configuration of a row's model, where it is a public one that lies beside the project.
fn public(row: &Value) -> Option<(Architecture, Vec<Weight>)> {
    let name = match row["model"].as_str()?.split(' ').next()? {
        name
        @ ("gpt2" | "distilbert-base-uncased" | "bert-base-uncased" | "bert-large-uncased") => name,
        "GPT-J-6B" => "gpt-j-6b",
        "llama-3.1-8b" => "llama-3.1-8b",
        _ => return None,
    };
    let text = std::fs::read_to_string(shared().join(format!("data/configs/{name}.json"))).ok()?;
    let mut architecture = read_config(&text).ok()?.architecture;
    if name.contains("bert") {
        // Without a head.
        architecture.towers.iter_mut().for_each(|tower| tower.head = None);
    }
    let weights = weights(&architecture);
    Some((architecture, weights))
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or(0)
}

/// A decoder of the dimensions that a row states.
fn decoder(dims: &Value) -> (Architecture, Vec<Weight>) {
    let hidden = number(dims, "hidden_size");
    let heads = number(dims, "num_attention_heads").max(number(dims, "num_heads"));
    let layers = number(dims, "num_layers");
    let width = number(dims, "intermediate_size");
    let vocabulary = number(dims, "vocab_size");
    let head = dims["head_dim"].as_u64().unwrap_or(hidden / heads.max(1));
    let key_value_heads = dims["num_kv_heads"].as_u64().unwrap_or(heads);
    let tied = dims["tie_word_embeddings"].as_bool().unwrap_or(false);
    let own = dims["arch"].is_string();
    let layer = Layer {
        mixer: Mixer::Attention(Attention {
            heads,
            key_value_heads,
            head,
            rotary: head,
            ..Attention::default()
        }),
        feed_forward: FeedForward::Dense(Dense {
            width,
            gated: true,
            activation: if own { Activation::SiluByHand } else { Activation::Silu },
            ..Dense::default()
        }),
        norm: Norm { kind: NormKind::RootMeanSquare, width: hidden, bias: false },
        ..Layer::default()
    };
    let tower = Tower {
        name: "decoder",
        hidden,
        embedding: Embedding { vocabulary, ..Embedding::default() },
        layers: vec![(layers, layer)],
        final_norm: Some(Norm { kind: NormKind::RootMeanSquare, width: hidden, bias: false }),
        head: Some(Head { outputs: vocabulary, tied, ..Head::default() }),
        causal: true,
        ..Tower::default()
    };
    let linear = hidden * head * (2 * heads + 2 * key_value_heads) + 3 * hidden * width;
    let weight =
        |role, elements, count| Weight { name: String::new(), shape: vec![elements], count, role };
    let mut weights = vec![
        weight(Role::Embedding, vocabulary * hidden, 1),
        weight(Role::Linear, hidden * width, 3 * layers),
        weight(Role::Linear, linear - 3 * hidden * width, layers),
        weight(Role::Norm, hidden, 2 * layers + 1),
    ];
    if !tied {
        weights.push(weight(Role::Head, vocabulary * hidden, 1));
    }
    let architecture =
        Architecture { family: "llama".to_owned(), towers: vec![tower], ..Architecture::default() };
    (architecture, weights)
}

fn workload(row: &Value) -> Option<Workload> {
    let precision = row["precision"].as_str().unwrap_or_default();
    let quantized = row["quant"].as_str().is_some_and(|quant| quant.starts_with("nf4"));
    let task = match row["task"].as_str()? {
        "train" => Task::Train,
        "infer" => Task::Infer,
        task if task.starts_with("forward with grad") => Task::Forward,
        _ => return None,
    };
    let adapters = row["lora"].is_object().then(|| Adapters {
        rank: number(&row["lora"], "rank"),
        targets: row["lora"]["targets"]
            .as_array()
            .map(|names| names.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect())
            .unwrap_or_default(),
        element: 4,
        dropout: false,
    });
    Some(Workload {
        task,
        batch: row["batch"].as_u64()?,
        sequence: row["seq"].as_u64()?,
        precision: if quantized {
            Precision::Full
        } else if precision.contains("autocast")
            || precision.contains("mixed")
            || precision.to_lowercase().contains("amp")
        {
            Precision::Autocast
        } else if precision.contains("16") && !precision.starts_with("fp32") {
            Precision::Half
        } else {
            Precision::Full
        },
        optimizer: if row["id"].as_str()?.starts_with("hf-bertlarge") {
            match row["optimizer"].as_str()? {
                "adafactor" => Optimizer::Adafactor,
                "bnb Adam8bit" => Optimizer::Adam8bit { paged: false },
                _ => Optimizer::AdamW(Step::Loop),
            }
        } else if task == Task::Train {
            let own = row["dims"]["arch"].is_string();
            let foreach = row["optimizer"].as_str().is_some_and(|name| name.contains("foreach"));
            Optimizer::AdamW(if own && !foreach { Step::Loop } else { Step::Foreach })
        } else {
            Optimizer::Nothing
        },
        checkpointing: if let Some(length) = row["ckpt"]
            .as_str()
            .and_then(|text| text.strip_prefix("segments of ")?.split(' ').next()?.parse().ok())
        {
            Checkpointing::Segments(length)
        } else if row["ckpt"].as_str().is_some_and(|c| c.starts_with("full")) {
            Checkpointing::Full
        } else {
            Checkpointing::Nothing
        },
        attention: match row["attention"].as_str().unwrap_or_default() {
            a if a.contains("eager") => AttentionKind::Eager,
            a if a.contains("naive") => AttentionKind::ByHand,
            _ => AttentionKind::Fused,
        },
        loss: match row["model"].as_str()? {
            name if name.contains("bert") => Loss::MeanOfStream,
            _ => Loss::Upcast,
        },
        adapters,
        float16: precision.contains("fp16"),
        parallel: Parallel {
            // The course's own DDP sends gradients one by one, without buckets.
            data: row["parallelism"]["ddp"]
                .as_u64()
                .filter(|_| row["parallelism"]["zero"] == 1)
                .unwrap_or(1),
            sharding: match row["parallelism"]["zero"].as_u64() {
                Some(1) => Sharding::States,
                _ => Sharding::Replicated,
            },
            ..Parallel::default()
        },
        // Before PyTorch 2.0 `zero_grad` left gradients in place.
        keeps_gradients: ["vramcalc", "hf-bertlarge"]
            .iter()
            .any(|source| row["id"].as_str().is_some_and(|id| id.starts_with(source))),
        caches_keys: !row["dims"]["arch"].is_string(),
        quantization: quantized.then_some(Quantization::Nf4 { double: false }),
        ..Workload::default()
    })
}

/// A measured figure beside ours, as a relative error.
struct Compared {
    id: String,
    metric: &'static str,
    quality: String,
    error: f64,
    within: bool,
}

/// What a row measured, which of our figures it is, and the bounds of that.
fn compared(row: &Value, budget: &Budget) -> Vec<Compared> {
    let kind = row["measured"]["kind"].as_str().unwrap_or_default();
    let first = row["framework"].as_str().is_some_and(|text| text.contains("first step"));
    let phase = |name| {
        budget.phases.iter().find(|phase| phase.name == name).map_or(0, |phase| phase.allocated)
    };
    let around =
        |bytes: u64| Interval { low: bytes * 95 / 100, likely: bytes, high: bytes * 105 / 100 };
    let context = row["extra_measured"]["context_MB"].as_u64().unwrap_or(0) << 20;
    let (metric, ours) = match kind.rsplit(' ').next().unwrap_or_default() {
        "after_model_init" => ("allocated", around(phase("loaded"))),
        // Of the first step: there are no states yet.
        "before_optimizer_step" => ("allocated", around(budget.before_states)),
        "after_optimizer_step" => ("allocated", around(phase("optimizer step"))),
        _ if kind.starts_with("nvidia-smi") => {
            let Interval { low, likely, high } = budget.reserved;
            let with = |bytes: u64| bytes + context;
            ("process", Interval { low: with(low), likely: with(likely), high: with(high) })
        }
        _ if first => ("allocated", around(budget.first_step)),
        _ => ("allocated", budget.allocated),
    };
    let one = |metric, ours: Interval, truth: u64| Compared {
        id: row["id"].as_str().unwrap_or_default().to_owned(),
        metric,
        quality: row["quality"].as_str().unwrap_or_default().to_owned(),
        error: 100.0 * (ours.likely as f64 / truth as f64 - 1.0),
        within: (ours.low..=ours.high).contains(&truth),
    };
    let mut all = Vec::new();
    if let Some(truth) = row["measured"]["bytes"].as_u64().filter(|bytes| *bytes > 0) {
        all.push(one(metric, ours, truth));
    }
    let extra = &row["extra_measured"];
    let reserved = extra["reserved_B"].as_u64().or_else(|| {
        extra["reserved_MiB"].as_f64().map(|mebibytes| (mebibytes * 1_048_576.0) as u64)
    });
    if let Some(truth) = reserved.filter(|_| !first) {
        all.push(one("reserved", budget.reserved, truth));
    }
    if let Some(truth) = extra["process_MiB"].as_f64().filter(|_| !first) {
        let device = row["gpu"].as_str().and_then(oomscope_budget::device);
        if let Some(device) = device {
            let ours = process(budget, device);
            all.push(one("process", ours, (truth * 1_048_576.0) as u64));
        }
    }
    all
}

/// Why a row says nothing of the model: what was run is not known well enough.
fn left_out(row: &Value) -> Option<&'static str> {
    let id = row["id"].as_str().unwrap_or_default();
    match id.split('/').next().unwrap_or_default() {
        "torch-preflight" if row["batch"] != 4 => {
            Some("which attention kernel ran was not recorded")
        }
        "torchtune-readme" => Some("compiled, packed, optimizer in backward"),
        "cs336-wedson" if id.ends_with("infer-512") => {
            Some("whether its matrices were cast was not recorded")
        }
        _ => None,
    }
}

#[test]
fn published_measurements_are_met() {
    let Some(rows) = rows() else {
        eprintln!("skipped: there are no published measurements beside the project");
        return;
    };
    let mut all = Vec::new();
    let mut verdicts = Vec::new();
    for row in &rows {
        let Some(workload) = workload(row) else { continue };
        let model = if row["dims"].is_object() { Some(decoder(&row["dims"])) } else { public(row) };
        let Some((architecture, weights)) = model else { continue };
        if let Some(why) = left_out(row) {
            println!("left out: {}: {why}", row["id"]);
            continue;
        }
        let budget = replayed_budget(&architecture, &weights, &workload);
        if let Some(outcome) = row["outcome"].as_str() {
            let device = row["gpu"].as_str().and_then(oomscope_budget::device).expect("known");
            let ours = fit(process(&budget, device), device.capacity());
            verdicts.push((row["id"].to_string(), outcome == "ok", ours));
        }
        all.extend(compared(row, &budget));
    }
    for (id, fits, ours) in &verdicts {
        let is_right = *fits == (*ours != Fit::DoesNot);
        println!("{id}: {} {ours:?}", if is_right { "right" } else { "wrong" });
        assert!(is_right, "{id}: {ours:?}");
    }
    for metric in ["allocated", "reserved", "process"] {
        let mut of: Vec<&Compared> =
            all.iter().filter(|c| c.metric == metric && c.quality == "A").collect();
        of.sort_by(|a, b| a.error.abs().total_cmp(&b.error.abs()));
        let median = of.get(of.len() / 2).map_or(0.0, |c| c.error.abs());
        let worst = of.last().map_or(0.0, |c| c.error.abs());
        let within = of.iter().filter(|c| c.within).count();
        println!(
            "{metric}: {} rows, median {median:.2} %, worst {worst:.2} %, {within} within bounds",
            of.len()
        );
        for far in of.iter().rev().take(12) {
            println!("  {:>7.2} % {}", far.error, far.id);
        }
        let (most_median, most) = match metric {
            "allocated" => (1.5, 10.0),
            "reserved" => (5.0, 25.0),
            _ => (4.0, 25.0),
        };
        assert!(median <= most_median, "{metric}: {median}");
        assert!(worst <= most, "{metric}: {worst}");
        assert!(within * 10 >= of.len() * 9, "{metric}: {within} of {}", of.len());
    }
}
