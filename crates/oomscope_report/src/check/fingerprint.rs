//! What tells one finding from another when lines move: its rule, file, function and source line.

use std::collections::BTreeMap;

use super::place::Files;
use super::{CheckReport, Shown};

/// The fingerprint of each finding that is shown, in their order, as 16 hexadecimal digits. Equal
/// findings (the same line twice in one function) are told apart by their order.
pub(super) fn fingerprints(report: &CheckReport, shown: Shown, files: &Files<'_>) -> Vec<String> {
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    report
        .findings(shown)
        .map(|(file, finding)| {
            let line = files.line(&file.path, finding.place.line).unwrap_or_default();
            let path = file.path.replace('\\', "/");
            let path = path.trim_start_matches("./");
            let function = finding.place.function.as_deref().unwrap_or_default();
            let words = [finding.rule, path, function, line.trim()];
            let own = words.iter().fold(OFFSET, |hash, word| fnv(fnv(hash, word.as_bytes()), &[0]));
            let count = seen.entry(own).or_insert(0);
            *count += 1;
            format!("{:016x}", fnv(own, &count.to_le_bytes()))
        })
        .collect()
}

/// FNV-1a, 64 bits: fixed for all time, as a fingerprint that others store has to be.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
