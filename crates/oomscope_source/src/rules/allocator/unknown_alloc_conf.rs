//! OOM904: an option of the allocator that PyTorch rejects, or that does harm.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_text_size::Ranged;

use super::alloc_conf::confs;
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM904",
    name: "unknown-alloc-conf",
    group: Group::Allocator,
    cause: Cause::Fragmentation,
    severity: Severity::Warning,
    doc: include_str!("unknown_alloc_conf.md"),
    check,
};

/// Options of the caching allocator in PyTorch 1.10 to 2.9 (`CUDAAllocatorConfig.cpp`,
/// `AllocatorConfig.cpp`), of all back ends.
const KNOWN: &[&str] = &[
    "backend",
    "expandable_segments",
    "garbage_collection_threshold",
    "graph_capture_record_stream_reuse",
    "large_segment_size_mb",
    "max_non_split_rounding_mb",
    "max_split_size_mb",
    "per_process_memory_fraction",
    "pinned_max_register_threads",
    "pinned_num_register_threads",
    "pinned_reserve_segment_size_mb",
    "pinned_use_background_threads",
    "pinned_use_cuda_host_register",
    "pinned_use_hip_host_register",
    "release_lock_on_cudamalloc",
    "release_lock_on_hipmalloc",
    "roundup_bypass_threshold_mb",
    "roundup_power2_divisions",
    "throw_on_cudamalloc_oom",
    "use_cuda_host_register",
];

/// PyTorch refuses a `max_split_size_mb` of at most this (`kLargeBuffer`, 20 MiB).
const SMALLEST_SPLIT_MB: u64 = 20;

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for conf in confs(project) {
        let Some((expr, text)) = conf.text else { continue };
        let Some(message) = fault(text) else { continue };
        let finding = Report {
            function: conf.id,
            range: expr.range(),
            severity: Severity::Warning,
            held: Held::Nothing,
            message,
            path: step(
                project,
                conf.id,
                conf.range,
                "the allocator reads this when it starts".to_owned(),
            )
            .into_iter()
            .collect(),
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

/// What is wrong with a list of options.
fn fault(text: &str) -> Option<String> {
    // Brackets hold lists of their own: `roundup_power2_divisions:[256:1,512:2]`.
    let mut depth = 0_u32;
    let options = text.split(|c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    options.filter(|option| !option.trim().is_empty()).find_map(|option| {
        let Some((key, value)) = option.split_once([':', '=']) else {
            return Some(format!("`{}` is no option: they are written `key:value`", short(option)));
        };
        let (key, value) = (key.trim(), value.trim());
        if !KNOWN.contains(&key.to_ascii_lowercase().as_str()) {
            return Some(format!("PyTorch knows no allocator option `{}`", short(key)));
        }
        if option.contains('=') {
            return Some(format!("`{}` is written `{key}:{value}`", short(option)));
        }
        let split = value.parse::<u64>().ok().filter(|_| key == "max_split_size_mb")?;
        (split <= SMALLEST_SPLIT_MB).then(|| {
            format!(
                "`max_split_size_mb` must be more than {SMALLEST_SPLIT_MB}: PyTorch refuses {split}"
            )
        })
    })
}
