//! `devices.jsonl`: what the driver said about every device and its processes while a command ran.

use oomscope_model::{Bytes, DeviceProcess, LiveDevice};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{MAX_LINE, Oom, ProcessRecord};

/// A sample farther from the failure than this, in seconds, says nothing about it.
const NEAR: f64 = 10.0;

/// A line of `devices.jsonl`: what the driver said at one moment.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DriverSample")]
pub(super) struct Moment {
    /// When, in seconds since the epoch.
    t: f64,
    /// Every device of the machine.
    #[serde(default)]
    devices: Vec<Seen>,
}

/// One device, as the driver numbers them.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DriverDevice")]
struct Seen {
    /// The driver's index, which need not be the program's.
    device: u32,
    /// Product name.
    #[serde(default)]
    name: String,
    /// Identity, without `GPU-` before it.
    uuid: Option<String>,
    /// Capacity, bytes.
    total: u64,
    /// Free, bytes.
    free: u64,
    /// Who uses it.
    #[serde(default)]
    processes: Vec<Holder>,
}

/// A process on a device.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DriverProcess")]
struct Holder {
    /// In the numbering of the host, which a container may not share.
    pid: u64,
    /// What it holds, bytes.
    used: Option<u64>,
}

/// The device that `oom` happened on, from the sample that is nearest in time, without the process
/// that `record` is of. `text` is that of `devices.jsonl`; lines that are broken are passed over.
pub fn device_at(text: &str, record: &ProcessRecord, oom: &Oom) -> Option<LiveDevice> {
    let moments = text
        .lines()
        .filter(|line| line.len() <= MAX_LINE)
        .filter_map(|line| serde_json::from_str::<Moment>(line).ok());
    let distance = |moment: &Moment| (moment.t - oom.t).abs();
    let moment = moments
        .filter(|moment| distance(moment) <= NEAR)
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    let own = record.start.as_ref().map(|start| start.pid);
    let visible = oom.device.unwrap_or_default();
    let stated = record.devices.iter().find(|device| device.device == visible);
    let seen = the_one(moment.devices, own, stated.and_then(|device| device.uuid.as_deref()))?;
    let others = seen.processes.iter().filter(|holder| Some(holder.pid) != own);
    Some(LiveDevice {
        index: seen.device,
        name: seen.name,
        uuid: seen.uuid,
        capacity: Bytes(seen.total),
        free: Bytes(seen.free),
        processes: others
            .map(|holder| DeviceProcess { pid: holder.pid, bytes: holder.used.map(Bytes) })
            .collect(),
    })
}

/// The device that `oom` happened on as the allocator knew it: without other processes.
pub fn device_of(record: &ProcessRecord, oom: &Oom) -> Option<LiveDevice> {
    let index = oom.device?;
    let stated = record.devices.iter().find(|device| device.device == index);
    Some(LiveDevice {
        index,
        name: stated.and_then(|device| device.name.clone()).unwrap_or_default(),
        uuid: stated.and_then(|device| device.uuid.clone()),
        capacity: Bytes(oom.total?),
        free: Bytes(oom.free?),
        processes: Vec::new(),
    })
}

/// The visible devices may be a part of all, in another order: the identity tells, else the
/// process itself, else that there is no other.
fn the_one(seen: Vec<Seen>, own: Option<u64>, uuid: Option<&str>) -> Option<Seen> {
    let bare = |uuid: &str| uuid.strip_prefix("GPU-").unwrap_or(uuid).to_lowercase();
    let is_it = |device: &Seen| match (device.uuid.as_deref(), uuid) {
        (Some(seen), Some(stated)) => bare(seen) == bare(stated),
        (None, _) | (_, None) => device.processes.iter().any(|holder| Some(holder.pid) == own),
    };
    let count = seen.len();
    let mut fitting = seen.into_iter().filter(|device| count == 1 || is_it(device));
    // Several that fit: nobody knows which.
    fitting.next().filter(|_| fitting.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::device_at;

    const RECORDS: &str = r#"{"kind":"start","t":1.0,"schema_version":1,"pid":7}
{"kind":"device","t":1.6,"device":0,"uuid":"b-2","total":80000}
{"kind":"oom","t":50.0,"n":1,"device":0,"requested":100}
"#;

    fn at(devices: &str) -> Option<(u32, Vec<u64>)> {
        let record = read("records.jsonl", RECORDS);
        let found = device_at(devices, &record, record.ooms.first()?)?;
        Some((found.index, found.processes.iter().map(|process| process.pid).collect()))
    }

    #[test]
    fn the_nearest_sample_of_the_devices_identity_counts_without_the_process_itself() {
        let text = r#"{"t":45,"devices":[{"device":1,"uuid":"GPU-B-2","total":9,"free":1,"processes":[{"pid":3}]}]}
{"t":49.5,"devices":[{"device":0,"uuid":"a","total":9,"free":1},{"device":1,"uuid":"b-2","total":9,"free":1,"processes":[{"pid":7,"used":5},{"pid":8,"used":3}]}]}
{"t":52,"devices":[]}
{"t":49.9,"dev
"#;
        assert_eq!(at(text), Some((1, vec![8])));
    }

    #[test]
    fn without_identities_the_device_that_the_process_is_on_counts_or_the_only_one() {
        let two = r#"{"t":50,"devices":[{"device":0,"total":9,"free":1,"processes":[{"pid":9}]},{"device":1,"total":9,"free":1,"processes":[{"pid":7},{"pid":4}]}]}"#;
        assert_eq!(at(two), Some((1, vec![4])));
        let one = r#"{"t":50,"devices":[{"device":0,"total":9,"free":1,"processes":[{"pid":9}]}]}"#;
        assert_eq!(at(one), Some((0, vec![9])));
        let strange = r#"{"t":50,"devices":[{"device":0,"total":9,"free":1},{"device":1,"total":9,"free":1}]}"#;
        assert_eq!(at(strange), None);
    }

    #[test]
    fn a_sample_long_before_the_failure_says_nothing() {
        let text = r#"{"t":30,"devices":[{"device":0,"total":9,"free":1}]}"#;
        assert_eq!(at(text), None);
        assert_eq!(at("nonsense\n\n{}"), None);
    }
}
