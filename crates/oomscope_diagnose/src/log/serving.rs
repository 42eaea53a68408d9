//! Texts of inference servers about their own memory budget: vLLM, SGLang, TGI.

use oomscope_model::{Framework, MemoryError};

use super::figures::{Recognised, patterns};
use super::units;

patterns! {
    NO_BLOCKS = r"(?i)No available memory for the cache blocks";
    FREE_AT_START = r"(?i)Free memory on device\s*(?:\w+:(\d{1,4})\s*)?\(\s*([0-9.]+)\s*/\s*([0-9.]+)\s*GiB\)\s*on startup";
    LESS_THAN = r"(?i)is less than desired GPU memory utilization";
    MODEL_LEN = r"(?i)KV cache is needed, which is larger than the available KV cache|max(?:imum)? (?:seq|model) len(?:gth)? ?\(\d+\) is larger than the maximum number of tokens that can be stored in (?:the )?KV cache";
    PROFILING = r"(?i)Error in memory profiling|warming up sampler with \d+ dummy requests";
    SGLANG = r"(?i)Not enough memory[.;,]? ?Please try to increase --mem-fraction-static|Loading (?:the )?model .{0,60}mem-fraction-static|memory capacity is unbalanced|larger than the profiled value -\d";
    TGI = r"(?i)Not enough memory to handle \d+ (?:total|prefill) tokens|--max-batch-prefill-tokens";
    OFFLOADED = r"(?i)Some modules are dispatched on the CPU or the disk|enough GPU RAM to fit the quantized model";
}

/// Recognises the texts of inference servers.
pub(crate) fn recognise(message: &str) -> Option<Recognised> {
    if NO_BLOCKS.is_match(message) || MODEL_LEN.is_match(message) || PROFILING.is_match(message) {
        return Some(Recognised::failure("ValueError", Framework::Vllm));
    }
    if LESS_THAN.is_match(message) || FREE_AT_START.is_match(message) {
        let mut recognised = Recognised::failure("ValueError", Framework::Vllm);
        free_at_start(message, &mut recognised.memory);
        return Some(recognised);
    }
    if SGLANG.is_match(message) {
        return Some(Recognised::failure("RuntimeError", Framework::Sglang));
    }
    if TGI.is_match(message) {
        return Some(Recognised::failure("RuntimeError", Framework::Tgi));
    }
    OFFLOADED.is_match(message).then(|| Recognised::failure("ValueError", Framework::Torch))
}

fn free_at_start(message: &str, memory: &mut MemoryError) {
    let Some(found) = FREE_AT_START.captures(message) else { return };
    let gib = |group: usize| {
        found.get(group).and_then(|text| units::size(&format!("{} GiB", text.as_str())))
    };
    memory.device_index = found.get(1).and_then(|text| text.as_str().parse().ok());
    memory.free = gib(2);
    memory.capacity = gib(3);
}

#[cfg(test)]
mod tests {
    use super::recognise;
    use oomscope_model::{Bytes, Framework};

    #[test]
    fn a_server_states_what_was_free_when_it_started() {
        let memory = recognise("Free memory on device cuda:1 (2.00/24.00 GiB) on startup is less than desired GPU memory utilization (0.9, 21.60 GiB).").unwrap().memory;
        assert_eq!(memory.framework, Some(Framework::Vllm));
        assert_eq!(memory.device_index, Some(1));
        assert_eq!(memory.free, Some(Bytes::from_gib(2)));
        assert_eq!(memory.capacity, Some(Bytes::from_gib(24)));
    }
}
