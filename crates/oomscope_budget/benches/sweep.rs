//! Configurations a second on one core: an 8-billion-parameter decoder over batches, sequences,
//! precisions and checkpointing. `cargo bench -p oomscope_budget`
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // a bench reads the clock

use std::hint::black_box;
use std::time::Instant;

use oomscope_budget::{Checkpointing, Precision, Workload, budget, read_config, weights};

const CONFIG: &str = r#"{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
    "vocab_size": 128256}"#;

fn main() {
    let model = read_config(CONFIG).expect("a configuration").architecture;
    let weights = weights(&model);
    let start = Instant::now();
    let mut count = 0u32;
    for precision in [Precision::Full, Precision::Half, Precision::Autocast] {
        for checkpointing in [Checkpointing::Nothing, Checkpointing::Full] {
            for batch in 1..=64 {
                for sequence in (128..=8192).step_by(128) {
                    let workload = Workload {
                        batch,
                        sequence,
                        precision,
                        checkpointing,
                        ..Workload::default()
                    };
                    black_box(budget(&model, &weights, &workload));
                    count += 1;
                }
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{count} configurations in {seconds:.2} s: {:.0} a second",
        f64::from(count) / seconds
    );
}
