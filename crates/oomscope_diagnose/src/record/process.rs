//! Everything that one process recorded, in order, and the questions that readers ask of it.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use oomscope_model::{Bytes, Problem};

use super::line::{
    AgentProblem, Device, End, Exception, History, Oom, Record, Sample, Snapshot, Source, Start,
    Step, StepSource, Torch,
};
use super::{DeviceUse, SCHEMA_VERSION};
use crate::verify::Point;

/// What one process recorded. Each list is in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessRecord {
    /// Which process it was.
    pub start: Option<Start>,
    /// Which PyTorch.
    pub torch: Option<Torch>,
    /// The visible devices.
    pub devices: Vec<Device>,
    /// How the allocator's history was switched.
    pub histories: Vec<History>,
    /// Steps of every source.
    pub steps: Vec<Step>,
    /// Memory, about once a second.
    pub samples: Vec<Sample>,
    /// Times that memory ran out.
    pub ooms: Vec<Oom>,
    /// Snapshots.
    pub snapshots: Vec<Snapshot>,
    /// Exceptions that were not caught.
    pub exceptions: Vec<Exception>,
    /// Source that is in no file.
    pub sources: Vec<Source>,
    /// What the agent could not do.
    pub problems: Vec<AgentProblem>,
    /// How it ended; `None` after a kill, a crash, or while it runs.
    pub end: Option<End>,
    /// What could not be read of the file.
    pub unread: Vec<Problem>,
}

impl ProcessRecord {
    /// The best of the sources that the process has: marker, then optimizer, then backward.
    pub fn best_source(&self) -> Option<StepSource> {
        self.steps.iter().map(|step| step.source).min()
    }

    /// The steps of one source.
    pub fn steps_of(&self, source: StepSource) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.source == source)
    }

    /// The steps of the best source: the ones to judge.
    pub fn best_steps(&self) -> impl Iterator<Item = &Step> {
        let best = self.best_source();
        self.steps.iter().filter(move |step| Some(step.source) == best)
    }

    /// The devices that any step or sample names.
    pub fn device_indices(&self) -> BTreeSet<u32> {
        let stepped = self.steps.iter().flat_map(|step| &step.devices);
        let sampled = self.samples.iter().flat_map(|sample| &sample.devices);
        stepped.chain(sampled).map(|entry| entry.device).collect()
    }

    /// One device over the steps of the best source, for [`crate::verify::judge`]. A step that does
    /// not say what was allocated, or whose number does not rise, is left out.
    pub fn series(&self, device: u32) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::new();
        for step in self.best_steps() {
            let entry = step.devices.iter().find(|entry| entry.device == device);
            let Some(point) = entry.and_then(|entry| point(step, entry)) else { continue };
            if points.last().is_none_or(|last| last.step < point.step) {
                points.push(point);
            }
        }
        points
    }

    /// Seconds that a step took: the median over the steps of the best source, strides divided out.
    pub fn step_seconds(&self) -> Option<f64> {
        let mut seconds: Vec<f64> = self
            .best_steps()
            .filter_map(|step| Some(step.seconds? / step.stride.unwrap_or(1).max(1) as f64))
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
            .collect();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied()
    }

    /// A device's capacity: as its properties said, or as the driver did beside a step.
    pub fn capacity(&self, device: u32) -> Option<Bytes> {
        let stated = self.devices.iter().find(|entry| entry.device == device);
        let seen = || {
            self.steps
                .iter()
                .flat_map(|step| &step.devices)
                .find_map(|entry| entry.total.filter(|_| entry.device == device))
        };
        stated.and_then(|entry| entry.total).or_else(seen).map(Bytes)
    }

    /// Times that memory ran out and the program went on.
    pub fn caught_ooms(&self) -> impl Iterator<Item = &Oom> {
        self.ooms.iter().filter(|oom| oom.caught)
    }

    /// Whether an exception about device memory ended the program.
    pub fn died_of_memory(&self) -> bool {
        self.exceptions.iter().any(|exception| exception.is_oom)
    }

    /// Takes one record in; returns what is wrong with it, if anything.
    pub(super) fn add(&mut self, record: Record) -> Option<String> {
        match record {
            Record::Start(start) => {
                let newer = start.schema_version > SCHEMA_VERSION;
                let version = start.schema_version;
                self.start.get_or_insert(start);
                return newer.then(|| {
                    format!("schema version {version} is newer than {SCHEMA_VERSION}; what is unknown is ignored")
                });
            }
            Record::Torch(torch) => {
                self.torch.get_or_insert(torch);
            }
            Record::Device(device) => self.devices.push(device),
            Record::History(history) => self.histories.push(history),
            Record::Step(step) => self.steps.push(step),
            Record::Sample(sample) => self.samples.push(sample),
            Record::Oom(mut oom) => {
                // Until an exception that was not caught says otherwise.
                oom.caught = true;
                let wrong = keep_inside(&mut oom.snapshot);
                self.ooms.push(oom);
                return wrong;
            }
            Record::Snapshot(mut snapshot) => {
                let wrong = keep_inside(&mut snapshot.snapshot);
                self.snapshots.push(snapshot);
                return wrong;
            }
            Record::Exception(exception) => {
                if let (true, Some(oom)) = (exception.is_oom, self.ooms.last_mut()) {
                    oom.caught = false;
                }
                self.exceptions.push(exception);
            }
            Record::Source(source) => self.sources.push(source),
            Record::Problem(problem) => self.problems.push(problem),
            Record::End(end) => self.end = Some(end),
            Record::Unknown => {}
        }
        None
    }
}

fn point(step: &Step, entry: &DeviceUse) -> Option<Point> {
    let allocated = entry.allocated?;
    Some(Point {
        step: step.step,
        stride: step.stride.unwrap_or(1).max(1),
        allocated: Bytes(allocated),
        peak: Bytes(entry.peak_allocated.unwrap_or(allocated).max(allocated)),
        reserved: entry.reserved.map(Bytes),
    })
}

/// Drops a path that leads out of the process's folder: a record must not make us open it.
fn keep_inside(path: &mut Option<String>) -> Option<String> {
    let stays = |path: &String| {
        !path.contains(['\\', ':', '\0'])
            && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
    };
    match path {
        Some(named) if !stays(named) => {
            *path = None;
            Some("the snapshot's path leads out of the process's folder".to_owned())
        }
        _ => None,
    }
}
