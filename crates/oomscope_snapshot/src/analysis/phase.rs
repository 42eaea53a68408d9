//! What the program was doing, told from the frames of a traceback or a recorded stack.

use std::sync::LazyLock;

use oomscope_model::{Frame, FrameOrigin, Phase};
use regex::Regex;

macro_rules! patterns {
    ($($name:ident = $pattern:expr;)*) => {
        $(static $name: LazyLock<Regex> = LazyLock::new(|| {
            // Names of functions and files are matched by their ASCII letters: far cheaper to build.
            Regex::new(concat!("(?-u)", $pattern)).expect("the patterns are constants")
        });)*
    };
}

patterns! {
    EVALUATION = r"(?i)^_?(?:eval\w*|valid(?:ate|ation)?\w*|predict\w*|test|test_(?:step|epoch|loop|model)|infer(?:ence)?|prediction_step|nested_\w+|score_batch\w*|compute_metrics|run_eval\w*|do_eval\w*|benchmark\w*)$";
    EVALUATION_FILE = r"(?i)^(?:eval\w*|validat\w*|predict\w*|infer\w*|test)\.py$";
    GENERATION = r"(?i)^_?(?:generate\w*|sample|beam_search|greedy_search|contrastive_search|assisted_decoding|decode_(?:one|step|token)\w*|next_token\w*)$";
    LOADING = r"(?i)^_?(?:from_pretrained|load|load_\w*|_load_\w*|from_single_file|from_checkpoint|restore\w*|resume\w*|legacy_load|persistent_load|typed_storage|init_model|build_model|create_model|get_model|initialize_model|set_module_tensor_to_device|dispatch_model|prepare_model|init_process|torch_load|setup_model)$";
    MOVING = r"^(?:_apply|to|cuda|half|float|bfloat16|convert|to_empty)$";
    STATE_DICT = r"(?i)state_dict";
    STEP = r"^(?:step|_init_group|_single_tensor_\w+|_multi_tensor_\w+|_fused_\w+|step_\w*param\w*|_take_model_step|optimizer_step|_optimizer_step|init_state|update_step|apply_gradients)$";
    OPTIMIZER_FILE = r"(?i)(?:^|/)optim\w*/|(?:^|/)(?:\w*optim(?:izer)?s?|adam\w*|sgd|lion|lamb|adafactor|muon|shampoo|lookahead|stage_?[123]\w*)\.py$";
    BACKWARD = r"^(?:backward|_engine_run_backward|run_backward|grad|unpack_hook|_backward|backward_step|hvp|vjp|jvp|_force_original_view_tracking)$";
    COLLECTIVE = r"(?i)^(?:all_gather\w*|_?all_reduce\w*|reduce_scatter\w*|broadcast\w*|gather|scatter|all_to_all\w*|barrier|_sync_\w+|init_process_group|_all_gather_base|_new_process_group_helper|_verify_param\w*|unshard|_unshard|ring_\w+)$";
    INPUT = r"^(?:_?prepare_inputs?|send_to_device|move_data_to_device|(?:_?transfer_)?batch_to_device|_?move_to_device|to_device|prefetch\w*|preload|get_batch|load_batch|next_batch|\w*collate\w*)$";
    LOSS = r"(?i)^(?:cross_entropy|nll_loss\w*|binary_cross_entropy\w*|mse_loss|l1_loss|smooth_l1_loss|kl_div|ctc_loss|cosine_embedding_loss|triplet_\w+|compute_loss|loss|loss_fn|loss_function|\w+_loss|\w*criterion|ForCausalLMLoss)$";
    SERVER = r"(?i)^(?:determine_\w*(?:blocks|memory)\w*|_initialize_kv_caches\w*|initialize_kv_cache\w*|profile_run|_?dummy_run|capture_model|capture|init_device|initialize_cache|initialize_from_config|compile_or_warm_up_model|init_memory_pool|init_cuda_graphs|init_device_graphs|warmup|_allocate_kv_cache\w*|allocate_gpu|_run_engine_core_startup)$";
    SERVER_FILE = r"(?i)/(?:vllm|sglang|text_generation_server|lmdeploy|tensorrt_llm)/";
}

/// The phase of a stack, innermost frame first. [`Phase::Unknown`] where nothing tells.
///
/// The innermost telling frame decides between backward, optimizer, loading and forward; a
/// forward pass then belongs to whatever runs it (evaluation, generation, a server's start).
pub fn phase_of<'a>(frames: impl Iterator<Item = &'a Frame>) -> Phase {
    told(frames).phase
}

/// What a stack tells.
pub(crate) struct Told {
    /// The phase, as [`phase_of`] has it.
    pub(crate) phase: Phase,
    /// What the innermost telling frame says, whatever runs it.
    pub(crate) inner: Phase,
}

/// The phase of a stack, innermost frame first, and what the innermost telling frame says.
pub(crate) fn told<'a>(frames: impl Iterator<Item = &'a Frame>) -> Told {
    let mut inner = Phase::Unknown;
    let mut outer = Phase::Unknown;
    let mut is_building = false;
    for frame in frames {
        let file = frame.file.replace('\\', "/");
        let function = last_name(&frame.function);
        is_building |= function == "__init__" && frame.origin() != FrameOrigin::Native;
        if matches!(inner, Phase::Unknown) {
            inner = inner_phase(&file, function, frame);
        } else if matches!(inner, Phase::Forward | Phase::Loss) && is_backward(&file, function) {
            // A checkpointed segment is run forward again inside backward.
            return Told { phase: Phase::Backward, inner };
        }
        outer = match (outer, outer_phase(&file, function, frame)) {
            (known, Phase::Unknown) => known,
            (Phase::ServerStart, _) => Phase::ServerStart,
            (Phase::Generation, Phase::Evaluation) => Phase::Generation,
            (_, found) => found,
        };
    }
    let phase = match (inner, outer) {
        (Phase::Forward | Phase::Loss | Phase::Unknown | Phase::Collective, Phase::ServerStart) => {
            Phase::ServerStart
        }
        (Phase::Forward | Phase::Loss | Phase::Unknown, found) if found != Phase::Unknown => found,
        (Phase::Unknown, _) if is_building => Phase::Loading,
        (known, _) => known,
    };
    Told { phase, inner }
}

/// `Net.forward` and `f.<locals>.step` to their last name.
fn last_name(function: &str) -> &str {
    function.rsplit(['.', ':']).next().unwrap_or(function)
}

fn file_name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

fn is_backward(file: &str, function: &str) -> bool {
    BACKWARD.is_match(function)
        && (file.contains("/autograd/")
            || file.ends_with("/_tensor.py")
            || function.contains("backward")
            || file.contains("/_functorch/"))
}

fn inner_phase(file: &str, function: &str, frame: &Frame) -> Phase {
    let is_torch = file.contains("/torch/");
    if is_backward(file, function) {
        Phase::Backward
    } else if STEP.is_match(function) && OPTIMIZER_FILE.is_match(file)
        || file.ends_with("/torch/optim/optimizer.py")
            && matches!(function, "wrapper" | "profile_hook_step")
    {
        Phase::OptimizerStep
    } else if INPUT.is_match(function) && !is_torch {
        Phase::Input
    } else if file.ends_with("/torch/serialization.py")
        || LOADING.is_match(function)
        || STATE_DICT.is_match(function)
        || MOVING.is_match(function) && file.ends_with("/modules/module.py")
    {
        Phase::Loading
    } else if COLLECTIVE.is_match(function)
        && (is_torch || file.contains("distributed") || file.contains("deepspeed"))
        || file.ends_with("/distributed_c10d.py")
    {
        Phase::Collective
    } else if LOSS.is_match(function) || file.ends_with("/nn/modules/loss.py") {
        Phase::Loss
    } else if matches!(
        function,
        "forward" | "_call_impl" | "_wrapped_call_impl" | "__call__" | "training_step"
    ) && (is_torch || frame.origin() != FrameOrigin::Native || function == "forward")
    {
        Phase::Forward
    } else {
        Phase::Unknown
    }
}

fn outer_phase(file: &str, function: &str, frame: &Frame) -> Phase {
    let is_program = frame.origin() == FrameOrigin::User;
    if SERVER.is_match(function)
        && (SERVER_FILE.is_match(file) || is_program && function.contains("kv_cache"))
    {
        Phase::ServerStart
    } else if GENERATION.is_match(function) && !file.contains("/torch/distributions/") {
        Phase::Generation
    } else if EVALUATION.is_match(function)
        || is_program && function == "<module>" && EVALUATION_FILE.is_match(file_name(file))
    {
        Phase::Evaluation
    } else {
        Phase::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::phase_of;
    use oomscope_model::{Frame, Phase};

    const TORCH: &str = "/opt/venv/lib/python3.11/site-packages/torch/";

    fn phase(outermost_first: &[(&str, &str)]) -> Phase {
        let frames: Vec<Frame> = outermost_first
            .iter()
            .map(|(file, function)| Frame {
                file: file.replace("T/", TORCH),
                line: 1,
                function: (*function).to_owned(),
            })
            .collect();
        phase_of(frames.iter().rev())
    }

    #[test]
    fn the_innermost_telling_frame_decides() {
        for (frames, expected) in [
            (
                vec![
                    ("train.py", "step"),
                    ("T/nn/modules/module.py", "_call_impl"),
                    ("net.py", "forward"),
                ],
                Phase::Forward,
            ),
            (
                vec![
                    ("train.py", "step"),
                    ("T/_tensor.py", "backward"),
                    ("T/autograd/__init__.py", "backward"),
                ],
                Phase::Backward,
            ),
            (
                vec![
                    ("train.py", "main"),
                    ("T/optim/optimizer.py", "wrapper"),
                    ("T/optim/adam.py", "step"),
                    ("T/optim/adam.py", "_init_group"),
                ],
                Phase::OptimizerStep,
            ),
            (
                vec![
                    ("T/optim/adam.py", "step"),
                    ("x.py", "closure"),
                    ("x.py", "training_step"),
                    ("net.py", "forward"),
                ],
                Phase::Forward,
            ),
            (
                vec![
                    ("T/autograd/graph.py", "_engine_run_backward"),
                    ("T/utils/checkpoint.py", "unpack_hook"),
                    ("net.py", "forward"),
                ],
                Phase::Backward,
            ),
            (
                vec![
                    ("train.py", "evaluate"),
                    ("T/nn/modules/module.py", "_call_impl"),
                    ("net.py", "forward"),
                ],
                Phase::Evaluation,
            ),
            (
                vec![
                    ("evaluate.py", "<module>"),
                    ("x.py", "run"),
                    ("T/nn/functional.py", "cross_entropy"),
                ],
                Phase::Evaluation,
            ),
            (
                vec![
                    ("chat.py", "main"),
                    (
                        "/v/lib/python3.11/site-packages/transformers/generation/utils.py",
                        "generate",
                    ),
                    ("m.py", "forward"),
                ],
                Phase::Generation,
            ),
            (
                vec![
                    ("train.py", "main"),
                    ("T/nn/modules/module.py", "to"),
                    ("T/nn/modules/module.py", "_apply"),
                    ("T/nn/modules/module.py", "convert"),
                ],
                Phase::Loading,
            ),
            (
                vec![
                    ("train.py", "main"),
                    ("T/serialization.py", "load"),
                    ("T/serialization.py", "_cuda_deserialize"),
                ],
                Phase::Loading,
            ),
            (
                vec![("train.py", "main"), ("T/distributed/distributed_c10d.py", "all_gather")],
                Phase::Collective,
            ),
            (vec![("train.py", "loop"), ("T/nn/functional.py", "cross_entropy")], Phase::Loss),
            (
                vec![
                    (
                        "/v/lib/python3.11/site-packages/vllm/worker/worker.py",
                        "determine_num_available_blocks",
                    ),
                    ("m.py", "forward"),
                ],
                Phase::ServerStart,
            ),
            (vec![("train.py", "main"), ("net.py", "__init__")], Phase::Loading),
            (vec![("train.py", "main")], Phase::Unknown),
            (vec![("optim.py", "step")], Phase::OptimizerStep),
        ] {
            assert_eq!(phase(&frames), expected, "{frames:?}");
        }
    }
}
