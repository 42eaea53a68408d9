//! `other-process`: someone else holds the device.

use oomscope_model::{Bytes, Cause};

use super::case::{Case, percent};
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::OtherProcess,
    page: include_str!("other_process.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    let Some(memory) = &context.memory else { return };
    let Some(capacity) = memory.capacity.filter(|capacity| *capacity > Bytes::ZERO) else { return };
    let listed = context.others();
    let own = memory.this_process.or(memory.reserved).or(memory.allocated);
    if listed > Bytes::ZERO {
        let share = listed.share_of(capacity);
        let points = match share {
            0.5.. => 78,
            0.25.. => 60,
            0.1.. => 32,
            _ => 10,
        };
        let who: Vec<String> = memory
            .other_processes
            .iter()
            .map(|process| format!("process {}", process.pid))
            .collect();
        case.speaks_at(
            points,
            format!(
                "{} of the device's {capacity} ({}) belong to {}",
                listed,
                percent(share),
                who.join(", ")
            ),
            Some(listed),
            None,
        );
        case.explains(Some(listed));
        if own.is_some_and(|own| own < listed) {
            case.speaks(8, "this process holds less than the others");
        } else if own.is_some_and(|own| own.share_of(capacity) > 0.6) {
            case.denies(15, "this process itself holds most of the device");
        }
        if super::ranks_on_one_device::common_size(&memory.other_processes).is_some() {
            case.denies(20, "they are all of one size, as the ranks of one job are");
        }
        if own.is_none() && memory.other_processes.len() == 1 {
            case.denies(45, "the text ends before it says what this process holds: the listed one may be this one");
        }
        let held = memory.reserved.or(memory.allocated).unwrap_or(Bytes::ZERO);
        if memory.this_process.is_none()
            && memory.free.is_some_and(|free| (listed + free + held).share_of(capacity) > 1.05)
        {
            case.denies(60, "beside the listed processes and what is free there is no room for this one: it is among them");
        }
        if memory.this_process.is_none()
            && memory.other_processes.len() == 1
            && own.is_some_and(|own| listed.share_of(own) < 1.3 && listed >= own)
        {
            case.denies(45, "the listed process holds just what this one uses: in a container it is this one under its outside pid");
        }
    } else if let (Some(own), Some(free)) = (own, memory.free) {
        // What is neither free nor ours belongs to somebody who is not listed.
        let gap = capacity.saturating_sub(own).saturating_sub(free);
        let share = gap.share_of(capacity);
        if share >= 0.25 {
            case.speaks_at(
                match share {
                    0.9.. => 75,
                    0.4.. => 62,
                    _ => 45,
                },
                format!(
                    "{gap} of the device ({}) is neither free nor used by this process",
                    percent(share)
                ),
                Some(gap),
                None,
            );
            case.explains(Some(gap));
            case.settle(
                "`nvidia-smi` on the host at the time of the failure: who else is on this device?",
            );
        }
    }
    for device in &context.evidence.live {
        let used: Bytes = device.processes.iter().filter_map(|process| process.bytes).sum();
        if used.share_of(device.capacity) >= 0.1 {
            case.speaks_at(
                5,
                format!(
                    "now, {} processes hold {used} of device {} ({})",
                    device.processes.len(),
                    device.index,
                    device.name
                ),
                Some(used),
                None,
            );
        }
    }
}

fn remedy(context: &Context<'_>) -> Remedy {
    let pids: Vec<String> = context
        .memory
        .iter()
        .flat_map(|memory| &memory.other_processes)
        .map(|process| process.pid.to_string())
        .collect();
    let who = if pids.is_empty() {
        String::new()
    } else {
        format!(" (`ps -o pid,user,cmd -p {}`)", pids.join(","))
    };
    Remedy {
        fix: format!("Find who else is on the device{who}: stop it if it is yours (a dead job's workers, a notebook kernel), or move this job with `CUDA_VISIBLE_DEVICES`."),
        verification: "`nvidia-smi` shows the device free before the start; `torch.cuda.mem_get_info()` agrees.".to_owned(),
        prevention: "Book devices through a scheduler or set exclusive compute mode; check free memory at start and fail early with a clear message.".to_owned(),
    }
}
