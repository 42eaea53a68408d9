//! `ranks-on-one-device`: several ranks of this job sit on one device.

use oomscope_model::{Bytes, Cause, OtherProcess, Severity};

use super::case::Case;
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::RanksOnOneDevice,
    page: include_str!("ranks_on_one_device.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    let Some(memory) = &context.memory else { return };
    let others = context.others();
    let rank = context.failure.and_then(|failure| failure.rank);
    if others > Bytes::ZERO {
        if let (Some(rank), Some(device)) = (rank, memory.device_index) {
            if rank > 0 && device == 0 {
                case.speaks(
                    58,
                    format!("rank {rank} failed on device 0, which other processes share"),
                );
            } else if rank == device {
                case.denies(10, format!("rank {rank} is on its own device"));
            }
        }
        let own = memory.this_process.or(memory.reserved).or(memory.allocated);
        let alike = own.map_or(0, |own| {
            memory
                .other_processes
                .iter()
                .filter_map(|process| process.bytes)
                .filter(|bytes| (0.5..2.0).contains(&bytes.share_of(own)))
                .count()
        });
        if alike >= 2 {
            case.speaks(40, format!("{alike} other processes on the device are about as large as this one: ranks of one job"));
        } else if alike == 1 && rank.is_some() {
            case.speaks(15, "another process of about this one's size is on the device");
        }
        if let Some(size) = common_size(&memory.other_processes) {
            case.speaks(
                60,
                format!(
                    "{} other processes hold about {size} each: contexts of the other ranks",
                    memory.other_processes.len()
                ),
            );
        }
        if memory.other_processes.len() >= 3 {
            case.speaks(
                22,
                format!("{} other processes are on one device", memory.other_processes.len()),
            );
        }
        case.explains(Some(others));
    }
    let findings = || {
        context
            .findings_of(Cause::RanksOnOneDevice)
            .filter(|joined| joined.finding.severity != Severity::Note)
    };
    if others > Bytes::ZERO || rank.is_some() {
        for joined in findings().take(1) {
            case.speaks_at(
                if others > Bytes::ZERO { 38 } else { 20 },
                format!(
                    "{} {}: {}",
                    joined.finding.rule, joined.finding.name, joined.finding.message
                ),
                None,
                Some(&joined.finding.place),
            );
        }
    }
    if case.points() > 0 {
        case.settle(
            "`nvidia-smi` while the job runs: one process a device, or several on the first?",
        );
    }
}

/// What each of three or more processes holds, where all hold about the same.
pub(super) fn common_size(others: &[OtherProcess]) -> Option<Bytes> {
    const MANY: usize = 3;
    let first = others.first()?.bytes?;
    let near = |bytes: Bytes| bytes.0.abs_diff(first.0) <= first.0 / 10;
    (others.len() >= MANY && others.iter().all(|other| other.bytes.is_some_and(near)))
        .then_some(first)
}

fn remedy(context: &Context<'_>) -> Remedy {
    let at = context
        .findings_of(Cause::RanksOnOneDevice)
        .next()
        .map_or_else(String::new, |joined| format!(" at {}", joined.finding.place));
    Remedy {
        fix: format!("Give each rank its own device{at}: `torch.cuda.set_device(local_rank)` before anything touches CUDA, `device = torch.device(\"cuda\", local_rank)`, and `map_location=\"cpu\"` in `torch.load`."),
        verification: "`nvidia-smi` shows one process on each device, of like size.".to_owned(),
        prevention: "Assert `torch.cuda.current_device() == local_rank` at start; launch with one visible device a rank.".to_owned(),
    }
}
