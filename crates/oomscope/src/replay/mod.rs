//! `oomscope replay`: a recorded run by the allocator model, as it was and under a change.

pub(crate) mod device;
pub(crate) mod size;
pub(crate) mod source;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use oomscope_allocator::{Backend, Capacity, Release, Settings, need};
use oomscope_diagnose::replay::{
    Change, Recorded, WhatIf, as_recorded, recorded_capacity, what_if,
};
use oomscope_model::Problem;
use oomscope_report::snapshot::{self as report, Entry, Replayed};

use crate::COULD_NOT_READ;
use crate::cli::ColorChoice;
use crate::output;
use crate::snapshot::arguments::OutputArguments;
use crate::snapshot::timeline::PictureFormat;
use crate::snapshot::views::{print, print_svg, say_all};
use device::DeviceArguments;
use source::{Source, SourceArguments, release};

/// Exit code where the run does not fit, or the model does not agree with the recording.
const MISFIT: u8 = 1;

#[derive(Args)]
pub(crate) struct ReplayArguments {
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    #[command(flatten)]
    pub(crate) change: ChangeArguments,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = PictureFormat::Text, help_heading = "Output")]
    pub(crate) format: PictureFormat,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// What is to be different.
#[derive(Args)]
#[command(next_help_heading = "Change")]
pub(crate) struct ChangeArguments {
    /// Settings, as `PYTORCH_CUDA_ALLOC_CONF` has them; empty for the defaults.
    #[arg(long, value_name = "SETTINGS")]
    pub(crate) conf: Option<String>,
    /// Share of the device's memory that the process may hold, as
    /// `torch.cuda.set_per_process_memory_fraction` sets it.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) memory_fraction: Option<f64>,
    /// The PyTorch release to run under.
    #[arg(long, value_name = "RELEASE", value_parser = release)]
    pub(crate) to_version: Option<Release>,
}

pub(crate) fn run(arguments: &ReplayArguments, color: ColorChoice) -> Result<ExitCode> {
    let (entries, problems) = match entry(arguments) {
        Ok(entry) => (vec![entry], Vec::new()),
        Err(problem) => (Vec::new(), vec![problem]),
    };
    say_all(&problems);
    match arguments.format.form() {
        Some(form) => print(&entries, &problems, form.of_one_run(), &arguments.output, color)?,
        None => print_svg(&entries, &arguments.output)?,
    }
    Ok(match entries.first() {
        None => ExitCode::from(COULD_NOT_READ),
        Some(entry) if entry.finds_misfit() => ExitCode::from(MISFIT),
        Some(_) => ExitCode::SUCCESS,
    })
}

fn entry(arguments: &ReplayArguments) -> Result<Entry, Problem> {
    let asked = arguments.device.capacity().map_err(|what| of_option("--capacity", what, None))?;
    let source = arguments.source.open()?;
    let change = arguments.change(&source.recorded, asked)?;
    let Source { loaded, device, recorded } = &source;
    if let (Some(divergence), true) = (&recorded.followed.divergence, change.is_some()) {
        output::say(&format!(
            "warning: the model parts from the recording at event {}: figures are estimates",
            divergence.event.0
        ));
    }
    let (as_recorded, changed, need) = match &change {
        None => (as_recorded(recorded), None, need(&recorded.followed.program)),
        Some(change) => {
            let WhatIf { recorded: before, changed, need } = what_if(recorded, change);
            (before, Some(changed), need)
        }
    };
    let view = report::replay(&Replayed {
        snapshot: &loaded.snapshot,
        device: *device,
        recorded,
        as_recorded: &as_recorded,
        changed: changed.as_ref(),
        need,
    });
    Ok(Entry::new(&loaded.name, *device, view).with_damage(&loaded.snapshot.problems))
}

impl ReplayArguments {
    /// What is to be different; `None` when nothing is.
    fn change(
        &self,
        recorded: &Recorded,
        capacity: Option<Capacity>,
    ) -> Result<Option<Change>, Problem> {
        let ChangeArguments { conf, memory_fraction, to_version } = &self.change;
        if conf.is_none() && memory_fraction.is_none() && to_version.is_none() && capacity.is_none()
        {
            return Ok(None);
        }
        let release = to_version.unwrap_or(recorded.release);
        let mut settings = conf.as_deref().map(|conf| parsed(conf, release)).transpose()?;
        if let Some(share) = *memory_fraction {
            if capacity.or(recorded_capacity(recorded)).is_none() {
                let what = "the recording does not show how much memory the device has";
                return Err(of_option(
                    "--memory-fraction",
                    what.to_owned(),
                    Some("pass `--capacity`"),
                ));
            }
            let of_conf = settings.unwrap_or_else(|| recorded.settings.clone());
            if of_conf.backend == Backend::CudaMallocAsync {
                let what = "the model of `cudaMallocAsync` knows no cap";
                return Err(of_option("--memory-fraction", what.to_owned(), None));
            }
            settings = Some(Settings { memory_fraction: Some(share), ..of_conf });
        }
        Ok(Some(Change { settings, release: *to_version, capacity }))
    }
}

/// Settings as given, also with the variable's name before them.
fn parsed(conf: &str, release: Release) -> Result<Settings, Problem> {
    let conf = conf.trim();
    let value = ["PYTORCH_CUDA_ALLOC_CONF=", "PYTORCH_HIP_ALLOC_CONF=", "PYTORCH_ALLOC_CONF="]
        .iter()
        .find_map(|name| conf.strip_prefix(name))
        .unwrap_or(conf)
        .trim_matches(['"', '\'']);
    Settings::parse(value, release).map_err(|error| {
        let hint = "settings are those of PYTORCH_CUDA_ALLOC_CONF, as \
                    `expandable_segments:True,max_split_size_mb:128`; `--to-version` names the \
                    PyTorch release";
        of_option("--conf", error.to_string(), Some(hint))
    })
}

/// What is wrong with an option's value.
pub(crate) fn of_option(option: &str, what: String, hint: Option<&str>) -> Problem {
    Problem { input: option.to_owned(), at: None, what, hint: hint.map(str::to_owned) }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err(format!("`{text}` is no share: a number above 0, at most 1")),
    }
}
