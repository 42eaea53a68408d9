//! What is done with the model, as options.

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};
use oomscope_budget::{
    Adapters, AttentionKind, Checkpointing, Config, Loss, Optimizer, Parallel, Precision,
    Quantization, Sharding, Step, Task, Workload,
};

#[derive(Args)]
#[command(next_help_heading = "What is done")]
pub(super) struct Options {
    /// Train, run forward alone, or generate.
    #[arg(long, value_enum, default_value_t = TaskName::Train)]
    task: TaskName,
    /// Sequences (or images) of one step on one device.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    batch: u64,
    /// Tokens of each.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=1 << 28))]
    seq: u64,
    /// Tokens that are generated.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(0..=1 << 28))]
    new_tokens: u64,
    /// How numbers are stored and computed [default: as the configuration says, else fp32].
    #[arg(long, value_enum)]
    precision: Option<PrecisionName>,
    /// What updates the parameters.
    #[arg(long, value_enum, default_value_t = OptimizerName::Adamw)]
    optimizer: OptimizerName,
    /// What is computed again in backward: `none`, `full`, `every=K`, `segments=K`.
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = checkpointing)]
    checkpointing: Checkpointing,
    /// How attention is computed.
    #[arg(long, value_enum, default_value_t = AttentionName::Sdpa)]
    attention: AttentionName,
    /// How the loss is computed: `upcast` (Hugging Face), `plain`, `chunked=N`.
    #[arg(long, value_name = "HOW", default_value = "upcast", value_parser = loss)]
    loss: Loss,
    /// Train adapters of this rank; the rest is frozen.
    #[arg(long, value_name = "RANK", value_parser = clap::value_parser!(u64).range(1..=1 << 16))]
    lora: Option<u64>,
    /// The modules that have adapters.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "q_proj,k_proj,v_proj,o_proj",
        requires = "lora"
    )]
    lora_targets: Vec<String>,
    /// How the frozen matrices are stored.
    #[arg(long, value_enum, requires = "lora")]
    quantization: Option<QuantizationName>,
    /// Devices with batches of their own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    dp: u64,
    /// What those share: 0 nothing (DDP), 1 states, 2 and gradients, 3 and parameters (FSDP).
    #[arg(long, value_name = "STAGE", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=3))]
    zero: u8,
    /// Devices that share each matrix.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1024))]
    tp: u64,
    /// Devices that share the sequence.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1 << 16))]
    cp: u64,
    /// Devices that share the experts.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1 << 16))]
    ep: u64,
    /// Gradients stay from one backward to the next.
    #[arg(long)]
    gradient_accumulation: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TaskName {
    Train,
    /// A forward that records a graph, without backward.
    Forward,
    Infer,
    Generate,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrecisionName {
    Fp32,
    Bf16,
    Fp16,
    /// Parameters in float32, products in bfloat16.
    AutocastBf16,
    /// Parameters in float32, products in float16.
    AutocastFp16,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OptimizerName {
    /// The default, which steps all parameters at once.
    Adamw,
    /// `fused=True`.
    AdamwFused,
    /// `foreach=False`.
    AdamwLoop,
    Sgd,
    SgdMomentum,
    Lion,
    Muon,
    Adafactor,
    Adam8bit,
    PagedAdam8bit,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AttentionName {
    /// Kernels that never hold the scores (flash, memory-efficient).
    Sdpa,
    /// Hugging Face's `eager`.
    Eager,
    /// `softmax` and mask written by hand.
    ByHand,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum QuantizationName {
    Nf4,
    Nf4Double,
    Int8,
}

impl Options {
    pub(super) fn workload(&self, config: &Config) -> Result<Workload> {
        let stated =
            if config.element == Some(2) { PrecisionName::Bf16 } else { PrecisionName::Fp32 };
        let name = self.precision.unwrap_or(stated);
        let trains = self.task == TaskName::Train;
        if self.lora.is_some() && !trains {
            bail!("--lora is for --task train");
        }
        Ok(Workload {
            task: match self.task {
                TaskName::Train => Task::Train,
                TaskName::Forward => Task::Forward,
                TaskName::Infer => Task::Infer,
                TaskName::Generate => Task::Generate { tokens: self.new_tokens },
            },
            batch: self.batch,
            sequence: self.seq,
            // What is packed is unpacked into half precision; the rest stays `float32`
            // (`prepare_model_for_kbit_training`).
            precision: match (name, self.quantization) {
                (_, Some(_)) | (PrecisionName::Fp32, None) => Precision::Full,
                (PrecisionName::Bf16 | PrecisionName::Fp16, None) => Precision::Half,
                (PrecisionName::AutocastBf16 | PrecisionName::AutocastFp16, None) => {
                    Precision::Autocast
                }
            },
            float16: matches!(name, PrecisionName::Fp16 | PrecisionName::AutocastFp16),
            optimizer: if trains { self.optimizer() } else { Optimizer::Nothing },
            checkpointing: self.checkpointing,
            attention: match self.attention {
                AttentionName::Sdpa => AttentionKind::Fused,
                AttentionName::Eager => AttentionKind::Eager,
                AttentionName::ByHand => AttentionKind::ByHand,
            },
            loss: self.loss,
            adapters: self.lora.map(|rank| Adapters {
                rank,
                targets: self.lora_targets.clone(),
                element: 4,
                dropout: false,
            }),
            quantization: self.quantization.map(|name| match name {
                QuantizationName::Nf4 => Quantization::Nf4 { double: false },
                QuantizationName::Nf4Double => Quantization::Nf4 { double: true },
                QuantizationName::Int8 => Quantization::Int8,
            }),
            parallel: Parallel {
                data: self.dp,
                sharding: match self.zero {
                    0 => Sharding::Replicated,
                    1 => Sharding::States,
                    2 => Sharding::Gradients,
                    _ => Sharding::Parameters { reshard: true },
                },
                tensor: self.tp,
                context: self.cp,
                expert: self.ep,
            },
            keeps_gradients: self.gradient_accumulation,
            ..Workload::default()
        })
    }

    fn optimizer(&self) -> Optimizer {
        match self.optimizer {
            OptimizerName::Adamw => Optimizer::AdamW(Step::Foreach),
            OptimizerName::AdamwFused => Optimizer::AdamW(Step::Fused),
            OptimizerName::AdamwLoop => Optimizer::AdamW(Step::Loop),
            OptimizerName::Sgd => Optimizer::Sgd { momentum: false, step: Step::Foreach },
            OptimizerName::SgdMomentum => Optimizer::Sgd { momentum: true, step: Step::Foreach },
            OptimizerName::Lion => Optimizer::Lion,
            OptimizerName::Muon => Optimizer::Muon,
            OptimizerName::Adafactor => Optimizer::Adafactor,
            OptimizerName::Adam8bit => Optimizer::Adam8bit { paged: false },
            OptimizerName::PagedAdam8bit => Optimizer::Adam8bit { paged: true },
        }
    }
}

fn checkpointing(text: &str) -> Result<Checkpointing> {
    let wrong = || anyhow!("`{text}` is none of none, full, every=K, segments=K");
    match text.split_once('=') {
        None if text == "none" => Ok(Checkpointing::Nothing),
        None if text == "full" => Ok(Checkpointing::Full),
        Some(("every", number)) => Ok(Checkpointing::Every(positive(number).ok_or_else(wrong)?)),
        Some(("segments", number)) => {
            Ok(Checkpointing::Segments(positive(number).ok_or_else(wrong)?))
        }
        _ => Err(wrong()),
    }
}

fn loss(text: &str) -> Result<Loss> {
    let wrong = || anyhow!("`{text}` is none of upcast, plain, chunked=N");
    match text.split_once('=') {
        None if text == "upcast" => Ok(Loss::Upcast),
        None if text == "plain" => Ok(Loss::Plain),
        Some(("chunked", number)) => {
            Ok(Loss::Chunked { chunks: positive(number).ok_or_else(wrong)? })
        }
        _ => Err(wrong()),
    }
}

fn positive(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| (1..=1_000_000).contains(number))
}
