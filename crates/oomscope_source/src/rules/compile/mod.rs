//! Rules on `torch.compile` and CUDA graphs.

use crate::rules::Rule;

pub(super) static RULES: &[Rule] = &[];
