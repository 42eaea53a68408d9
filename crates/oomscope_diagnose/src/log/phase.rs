//! What the program was doing, told from a traceback with its source lines, or from a message.

use oomscope_model::{Frame, FrameOrigin, Phase};
use oomscope_snapshot::phase_of;

use super::figures::patterns;

patterns! {
    INPUT_CODE = r"\.(?:to|cuda)\((?:[^()]*\bdevice\b|[^()]*cuda|[^()]*non_blocking|\))";
    MODEL_CODE = r"(?i)\b\w*(?:model|net|module|encoder|decoder|unet|vae|teacher|student|backbone|pipe(?:line)?|llm|transformer|generator|discriminator)\w*\s*(?:\([^()]*\))*\.(?:to|cuda|half|float|bfloat16)\(";
}

/// The phase of a traceback, outermost frame first, with the source lines beside it.
pub(crate) fn phase_with_code(frames: &[Frame], codes: &[String]) -> Phase {
    let phase = phase_of(frames.iter().rev());
    if phase != Phase::Unknown {
        return phase;
    }
    let innermost = frames
        .iter()
        .zip(codes)
        .rev()
        .find(|(frame, code)| frame.origin() == FrameOrigin::User && !code.is_empty())
        .map(|(_, code)| code.as_str());
    innermost.map_or(Phase::Unknown, phase_of_code)
}

fn phase_of_code(code: &str) -> Phase {
    if MODEL_CODE.is_match(code) || code.contains("from_pretrained") || code.contains("torch.load")
    {
        Phase::Loading
    } else if code.contains(".backward(") || code.contains("autograd.grad(") {
        Phase::Backward
    } else if code.contains("optimizer.step(") || code.contains("opt.step(") {
        Phase::OptimizerStep
    } else if INPUT_CODE.is_match(code) {
        Phase::Input
    } else if code.contains("loss") && code.contains('(') {
        Phase::Loss
    } else {
        Phase::Unknown
    }
}

patterns! {
    SERVER_TEXT = r"(?i)cache blocks|on startup is less than desired|KV cache is needed|Capture cuda graph failed|memory profiling|dummy requests|mem-fraction-static|stored in (?:the )?KV cache|tokens that can be stored|prefill tokens|Warming up model";
    LOADING_TEXT = r"(?i)Loading checkpoint|loading model|load_model|quantized model|allocate \w+ buffer|Loading (?:safetensors|weights)";
    EVALUATION_TEXT = r"(?i)\b(?:during|while|in) (?:the )?(?:validat|evaluat)\w+|\b(?:validation|evaluation) (?:step|loop|phase|epoch)\b";
    COLLECTIVE_TEXT = r"(?i)NCCL";
}

/// The phase that a message names by itself.
pub(crate) fn phase_of_message(message: &str) -> Phase {
    if SERVER_TEXT.is_match(message) {
        Phase::ServerStart
    } else if LOADING_TEXT.is_match(message) {
        Phase::Loading
    } else if EVALUATION_TEXT.is_match(message) {
        Phase::Evaluation
    } else if COLLECTIVE_TEXT.is_match(message) {
        Phase::Collective
    } else if message.to_ascii_lowercase().contains("generation error") {
        Phase::Generation
    } else {
        Phase::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::phase_with_code;
    use oomscope_model::{Frame, Phase};

    #[test]
    fn the_source_line_tells_a_batch_from_a_model() {
        for (code, expected) in [
            ("x = batch.to(device)", Phase::Input),
            ("x, y = x.cuda(), y.cuda()", Phase::Input),
            ("model.to(device)", Phase::Loading),
            ("self.net.cuda()", Phase::Loading),
            ("y = a + b", Phase::Unknown),
        ] {
            let frame = Frame { file: "train.py".into(), line: 3, function: "main".into() };
            assert_eq!(phase_with_code(&[frame], &[code.to_owned()]), expected, "{code}");
        }
    }
}
