//! What holds for every configuration and workload.

use oomscope_budget::{
    AttentionKind, Checkpointing, Optimizer, Precision, Step, Task, Workload, budget, read_config,
    weights,
};
use proptest::prelude::*;

const CONFIG: &str = r#"{"model_type": "llama", "hidden_size": 256, "num_hidden_layers": 4,
    "num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 512,
    "vocab_size": 1000}"#;

fn workloads() -> impl Strategy<Value = Workload> {
    let precision =
        prop_oneof![Just(Precision::Full), Just(Precision::Half), Just(Precision::Autocast)];
    let checkpointing = prop_oneof![
        Just(Checkpointing::Nothing),
        Just(Checkpointing::Full),
        (1u64..9).prop_map(Checkpointing::Every),
        (1u64..9).prop_map(Checkpointing::Segments),
    ];
    let task = prop_oneof![Just(Task::Train), Just(Task::Forward), Just(Task::Infer)];
    let attention = prop_oneof![
        Just(AttentionKind::Fused),
        Just(AttentionKind::Eager),
        Just(AttentionKind::ByHand)
    ];
    (1u64..64, 1u64..2048, precision, checkpointing, task, attention).prop_map(
        |(batch, sequence, precision, checkpointing, task, attention)| Workload {
            batch,
            sequence,
            precision,
            checkpointing,
            task,
            attention,
            optimizer: Optimizer::AdamW(Step::Foreach),
            ..Workload::default()
        },
    )
}

proptest! {
    #[test]
    fn a_larger_batch_never_needs_less(workload in workloads(), more in 1u64..16) {
        let model = read_config(CONFIG).expect("a configuration").architecture;
        let weights = weights(&model);
        let less = budget(&model, &weights, &workload).allocated.likely;
        let larger = Workload { batch: workload.batch + more, ..workload };
        prop_assert!(budget(&model, &weights, &larger).allocated.likely >= less);
    }

    #[test]
    fn bounds_enclose_and_phases_reach_the_peak(workload in workloads()) {
        let model = read_config(CONFIG).expect("a configuration").architecture;
        let needed = budget(&model, &weights(&model), &workload);
        for interval in [needed.allocated, needed.reserved] {
            prop_assert!(interval.low <= interval.likely && interval.likely <= interval.high);
        }
        let highest = needed.phases.iter().map(|phase| phase.allocated).max();
        prop_assert_eq!(highest, Some(needed.allocated.likely));
        prop_assert!(needed.first_step <= needed.allocated.likely);
    }

    #[test]
    fn no_configuration_makes_it_panic(
        family in prop::sample::select(oomscope_budget::families_known().collect::<Vec<_>>()),
        numbers in prop::collection::vec(any::<u64>(), 8),
        shift in 0u32..64,
        batch in any::<u64>(),
        sequence in any::<u64>(),
    ) {
        let at = |number: usize| numbers[number] >> shift;
        let text = format!(
            r#"{{"model_type": "{family}", "hidden_size": {}, "num_hidden_layers": {},
            "num_attention_heads": {}, "num_key_value_heads": {}, "intermediate_size": {},
            "vocab_size": {}, "num_experts": {}, "kv_lora_rank": {}, "qk_nope_head_dim": 64,
            "qk_rope_head_dim": 64, "v_head_dim": 64, "moe_intermediate_size": 64,
            "shared_expert_intermediate_size": 64, "encoder_layers": 2, "decoder_layers": 2,
            "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 8,
            "decoder_ffn_dim": 8}}"#,
            at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7),
        );
        if let Ok(config) = read_config(&text) {
            let model = config.architecture;
            let workload = Workload { batch, sequence, ..Workload::default() };
            budget(&model, &weights(&model), &workload);
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = read_config(&text);
    }
}

#[test]
fn a_missing_key_and_an_absurd_one_are_named() {
    let error = |text: &str| read_config(text).expect_err("an error").to_string();
    assert_eq!(error(r#"{"model_type": "llama"}"#), "hidden_size: missing");
    assert_eq!(error(r#"{"model_type": "gpt2", "n_embd": 0}"#), "hidden_size: 0 is not a size");
    assert_eq!(
        error(r#"{"model_type": "gpt2", "n_embd": 1e30}"#),
        "hidden_size: 1e+30 is not a count"
    );
    assert_eq!(error(r#"{"model_type": "lama"}"#), "model_type \"lama\" is not known");
    assert_eq!(error("{}"), "model_type: missing");
    assert!(error("[1]").starts_with("not a configuration"));
}
