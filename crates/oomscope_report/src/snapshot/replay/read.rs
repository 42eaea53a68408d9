//! How a recording was read: by which release's rules, under which settings, and what is uncertain.

use oomscope_allocator::{Faults, Limits, Release};
use oomscope_diagnose::replay::{Recorded, recorded_capacity};
use oomscope_model::{Bytes, DeviceId, EventIndex};
use oomscope_snapshot::{At, Snapshot, history};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::section::grouped;

/// How a recording was read.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ReadV1 {
    /// The PyTorch release whose rules were used, `2.9`.
    pub(crate) version: String,
    /// Who named it: `given` on the command line, or `file`, told from the file's keys; among
    /// releases that write the same keys, the one whose rules agree.
    pub(crate) version_from: &'static str,
    /// The releases that write such a file; null when its keys do not tell.
    pub(crate) written_by: Option<&'static str>,
    /// The settings as recorded; null where the file does not have them.
    pub(crate) conf: Option<String>,
    /// Why the recorded settings could not be read; the values that the file states one by one
    /// were used then.
    pub(crate) conf_problem: Option<String>,
    /// Events of the device.
    pub(crate) events: u64,
    /// Requests for memory among them.
    pub(crate) requests: u64,
    /// Whether the trace begins with an empty allocator, and so has the whole run.
    pub(crate) is_complete: bool,
    /// Bytes that the device had for the allocator, as far as the trace tells; null when no
    /// request was refused.
    pub(crate) device: Option<u64>,
    /// Whether it is exact: a failed request told it. Else it is the most that it can be.
    pub(crate) is_device_exact: bool,
    /// The most that the device gave at once: it has at least that.
    pub(crate) granted: u64,
    /// Bytes held from the device before the first event.
    pub(crate) held_before: u64,
    /// The process's own cap in bytes, where garbage collection shows it.
    pub(crate) cap: Option<u64>,
    /// Events that cannot be, by kind.
    pub(crate) faults: Vec<FaultV1>,
    /// What is not certain about the answers, in words.
    pub(crate) uncertain: Vec<String>,
}

/// Events that cannot be.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FaultV1 {
    /// What is wrong with them, in words.
    pub(crate) what: &'static str,
    /// How many.
    pub(crate) count: u64,
    /// The first one; null for what was wrong before the trace.
    pub(crate) first_event: Option<u32>,
}

impl FaultV1 {
    /// `second free of a block: 3 times, first at event 12`.
    pub(crate) fn words(&self) -> String {
        let first =
            self.first_event.map(|event| format!(", first at event {}", grouped(event.into())));
        let times = if self.count == 1 {
            "once".to_owned()
        } else {
            format!("{} times", grouped(self.count))
        };
        format!("{}: {times}{}", self.what, first.unwrap_or_default())
    }
}

impl ReadV1 {
    pub(crate) fn of(snapshot: &Snapshot, device: DeviceId, recorded: &Recorded) -> ReadV1 {
        let followed = &recorded.followed;
        let capacity = recorded_capacity(recorded).map(|capacity| capacity.available);
        ReadV1 {
            version: recorded.release.to_string(),
            version_from: if recorded.is_release_given { "given" } else { "file" },
            written_by: snapshot.torch_version,
            conf: snapshot.settings.conf.clone(),
            conf_problem: recorded.unread_settings.as_ref().map(ToString::to_string),
            events: snapshot.trace(device).map_or(0, |trace| trace.len() as u64),
            requests: followed.program.requests(),
            is_complete: recorded.is_complete,
            device: capacity,
            is_device_exact: is_exact(&followed.limits, capacity),
            granted: followed.limits.granted,
            held_before: held_before(snapshot, device, recorded),
            cap: recorded.allowed,
            faults: faults(&followed.faults),
            uncertain: uncertain(snapshot, recorded),
        }
    }

    /// The names and figures of the text.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("PyTorch", self.release()), ("settings", self.settings())];
        let begin = if self.is_complete {
            "from an empty allocator on".to_owned()
        } else {
            format!("begins with {} already held", Bytes(self.held_before))
        };
        let (events, requests) = (counted(self.events, "event"), counted(self.requests, "request"));
        facts.push(("trace", format!("{events}, {requests}, {begin}")));
        facts.push((
            "device",
            match self.device.map(Bytes) {
                None => "refused nothing: how much it has is not known".to_owned(),
                Some(device) if self.is_device_exact => {
                    format!("{device} for the allocator, as the failed request tells")
                }
                Some(device) => {
                    let least = Bytes(self.granted);
                    format!("between {least}, which it gave, and {device}: more was refused")
                }
            },
        ));
        if let Some(cap) = self.cap.map(Bytes) {
            facts.push(("cap", format!("about {cap}, as garbage collection shows")));
        }
        facts
    }

    fn release(&self) -> String {
        match (self.version_from, self.written_by) {
            ("given", _) => format!("{}, as given", self.version),
            (_, Some(written_by)) => {
                format!("{written_by} by the file's keys; the rules of {}", self.version)
            }
            _ => format!("not told by the file; the rules of {}", self.version),
        }
    }

    fn settings(&self) -> String {
        match self.conf.as_deref() {
            None => "not in the file: the defaults".to_owned(),
            Some("") => "the defaults".to_owned(),
            Some(conf) => format!("`{conf}`"),
        }
    }
}

fn held_before(snapshot: &Snapshot, device: DeviceId, recorded: &Recorded) -> u64 {
    if recorded.is_complete {
        return 0;
    }
    let state = history(snapshot, device).state_at(At::Before(EventIndex(0)));
    state.segments.iter().map(|segment| segment.total.0).sum()
}

/// Whether a failed request told the capacity.
fn is_exact(limits: &Limits, capacity: Option<u64>) -> bool {
    limits.device.is_some() && limits.device == capacity
}

/// `1 event`, `2 events`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

fn faults(faults: &Faults) -> Vec<FaultV1> {
    let kinds = faults.kinds.iter().map(|fault| FaultV1 {
        what: fault.kind.in_words(),
        count: fault.count,
        first_event: fault.first.map(|event| event.0),
    });
    kinds.collect()
}

fn uncertain(snapshot: &Snapshot, recorded: &Recorded) -> Vec<String> {
    let mut uncertain = Vec::new();
    if !recorded.is_complete {
        uncertain.push(
            "what was held before the first event is reconstructed from the dump; in which order \
             it was made, and what was cached in the order of its use, is not recorded, so that \
             the choice between equally good free blocks may be another one"
                .to_owned(),
        );
    }
    if let Some(error) = &recorded.unread_settings {
        uncertain.push(format!(
            "the recorded settings cannot be read ({error}); the values that the file states one \
             by one were used"
        ));
    } else if snapshot.settings.conf.is_none() {
        uncertain.push("the file does not state the settings: the defaults were used".to_owned());
    }
    let program = &recorded.followed.program;
    if program.has_private_pools() {
        uncertain.push(
            "when a CUDA graph or a memory pool of its own goes is not recorded: on a smaller device \
             its memory counts as held to the end"
                .to_owned(),
        );
    }
    if program.waits_for_streams() {
        uncertain.push(
            "blocks wait for other streams: once a refused request has waited for all of them, \
             when later ones are done is the device's affair"
                .to_owned(),
        );
    }
    if snapshot.lost_tail {
        uncertain.push("the file ends inside its trace: what came last is missing".to_owned());
    }
    if recorded.release < Release::V2_4 || recorded.release > Release::NEWEST {
        uncertain.push(format!(
            "the model was compared with PyTorch {} to {}, not with {}",
            Release::V2_4,
            Release::NEWEST,
            recorded.release
        ));
    }
    uncertain
}
