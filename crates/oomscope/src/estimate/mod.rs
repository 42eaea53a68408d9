//! `oomscope estimate`: what a configuration needs, before anything runs.

mod model;
mod options;
mod sweep;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};
use oomscope_budget::{
    Architecture, Device, Fit, Size, Workload, advise, budget, built_in_names, device, devices,
    largest, replayed_budget, weights,
};
use oomscope_model::Bytes;
use oomscope_report::estimate::{self as report, EstimateReport};
use oomscope_report::{Charset, Detail};

use crate::cli::ColorChoice;
use crate::output::{self, Replace};

use model::Dimensions;
use options::Options;
use sweep::Sweep;

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command")]
pub(crate) struct EstimateArguments {
    /// A well-known model (`llama-3.1-8b`; `list` lists them), a `config.json`, the directory of a model, or `-` for a configuration on standard input.
    #[arg(value_name = "MODEL", required_unless_present = "hidden")]
    model: Option<String>,
    #[command(flatten)]
    dimensions: Dimensions,
    #[command(flatten)]
    options: Options,
    /// The device that it is to fit: `rtx-4090`, `a100-80gb`, `p5` (`--device list` lists them).
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// The most that the process may hold, as 22GiB.
    #[arg(long, value_name = "SIZE", value_parser = crate::replay::size::size)]
    budget: Option<Bytes>,
    /// Find the largest value that fits the device.
    #[arg(long, value_enum, value_name = "SIZE")]
    solve: Option<Solve>,
    /// Say what would make it fit the device: the changes that cost the training least, first.
    #[arg(long, requires = "device")]
    advise: bool,
    /// Estimate over several sizes: `batch=1,2,4`, `seq=512..8192` (which doubles), `lora-rank=…`;
    /// given twice, over both.
    #[arg(long, value_name = "NAME=VALUES", value_parser = sweep::sweep, conflicts_with_all = ["solve", "advise", "explain", "check"])]
    sweep: Vec<Sweep>,
    /// Show each term with its formula.
    #[arg(long)]
    explain: bool,
    /// Exit with 1 when it is not sure to fit the device or the budget.
    #[arg(long)]
    check: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = EstimateFormat::Text)]
    format: EstimateFormat,
    /// Write to FILE instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace FILE if it exists.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EstimateFormat {
    /// For people, in a terminal.
    Text,
    /// For programs; schema in `schema/estimate.schema.json`.
    Json,
    /// For an issue or a pull request.
    Markdown,
    /// Of a sweep, for a spreadsheet.
    Csv,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Solve {
    /// Sequences of a step.
    Batch,
    /// Tokens of each.
    Seq,
    /// Rank of the adapters.
    LoraRank,
}

pub(crate) fn run(arguments: &EstimateArguments, color: ColorChoice) -> Result<ExitCode> {
    if arguments.device.as_deref() == Some("list") {
        return list_devices(arguments);
    }
    if arguments.model.as_deref() == Some("list") {
        return list_models(arguments);
    }
    let replace = if arguments.force { Replace::Allow } else { Replace::Refuse };
    let device = arguments.device.as_deref().map(named_device).transpose()?;
    let (name, config) = model::read(arguments.model.as_deref(), &arguments.dimensions)?;
    let architecture = &config.architecture;
    let workload = arguments.options.workload(&config)?;
    let weights = weights(architecture);
    if arguments.format == EstimateFormat::Csv && arguments.sweep.is_empty() {
        bail!("--format csv is for a sweep\nhint: add --sweep batch=1,2,4,8");
    }
    if !arguments.sweep.is_empty() {
        let estimate = |workload: Workload, replays| EstimateReport {
            model: name.clone(),
            family: architecture.family.clone(),
            budget: if replays { replayed_budget } else { budget }(
                architecture,
                &weights,
                &workload,
            ),
            rule_of_thumb: rule_of_thumb(architecture, workload.batch, workload.sequence),
            workload,
            device,
            limit: arguments.budget,
            largest: None,
            advice: Vec::new(),
            explain: false,
        };
        let swept = sweep::run(&arguments.sweep, &workload, estimate)?;
        output::deliver(arguments.output.as_deref(), replace, |out| match arguments.format {
            EstimateFormat::Text | EstimateFormat::Markdown => {
                report::render_sweep_text(&swept, out)
            }
            EstimateFormat::Csv => report::render_sweep_csv(&swept, out),
            EstimateFormat::Json => report::render_sweep_json(&swept, out),
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let solved = match (arguments.solve, device) {
        (None, _) => None,
        (Some(_), None) => bail!("--solve needs a device\nhint: name one with --device"),
        (Some(solve), Some(device)) => {
            let size = match solve {
                Solve::Batch => Size::Batch,
                Solve::Seq => Size::Sequence,
                Solve::LoraRank => Size::Rank,
            };
            if size == Size::Rank && workload.adapters.is_none() {
                bail!("--solve lora-rank needs adapters\nhint: add --lora 16");
            }
            Some((size, largest(architecture, &weights, &workload, device, size)))
        }
    };
    let advice = match device.filter(|_| arguments.advise) {
        Some(device) => advise(architecture, &weights, &workload, device),
        None => Vec::new(),
    };
    let report = EstimateReport {
        model: name,
        family: architecture.family.clone(),
        budget: replayed_budget(architecture, &weights, &workload),
        rule_of_thumb: rule_of_thumb(architecture, workload.batch, workload.sequence),
        workload,
        device,
        limit: arguments.budget,
        largest: solved,
        advice,
        explain: arguments.explain,
    };
    let style = output::style(color, arguments.output.is_some(), Detail::Full, Charset::Unicode);
    output::deliver(arguments.output.as_deref(), replace, |out| match arguments.format {
        EstimateFormat::Text => report::render_text(&report, &style, out),
        EstimateFormat::Json => report::render_json(&report, out),
        EstimateFormat::Markdown | EstimateFormat::Csv => report::render_markdown(&report, out),
    })?;
    let fails = match report.fit() {
        Some(Fit::DoesNot) => true,
        Some(Fit::Tight) => arguments.check,
        None if arguments.check => bail!("--check needs --device or --budget"),
        Some(Fit::Fits) | None => false,
    };
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn named_device(name: &str) -> Result<&'static Device> {
    device(name).ok_or_else(|| {
        let start: String = name.chars().filter(char::is_ascii_alphanumeric).take(3).collect();
        let start = start.to_ascii_lowercase();
        let near = devices().iter().map(|device| device.name.as_str());
        let near: Vec<&str> =
            near.filter(|known| known.replace('-', "").contains(&start)).take(6).collect();
        let hint = if near.is_empty() { "--device list".to_owned() } else { near.join(", ") };
        anyhow!("no device is called `{name}`\nhint: {hint}")
    })
}

fn list_models(arguments: &EstimateArguments) -> Result<ExitCode> {
    output::deliver(arguments.output.as_deref(), Replace::Refuse, |out| {
        built_in_names().try_for_each(|name| writeln!(out, "{name}"))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn list_devices(arguments: &EstimateArguments) -> Result<ExitCode> {
    output::deliver(arguments.output.as_deref(), Replace::Refuse, |out| {
        for device in devices() {
            let capacity = Bytes(device.capacity()).to_string();
            writeln!(out, "{:<20} {capacity:>10}", device.name)?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// `4 · batch · sequence · hidden · layers · 3 bytes`.
fn rule_of_thumb(architecture: &Architecture, batch: u64, sequence: u64) -> Bytes {
    let towers = architecture.towers.iter();
    let layers = towers.map(|tower| {
        let count: u64 = tower.layers.iter().map(|(count, _)| count).sum();
        count.saturating_mul(tower.hidden)
    });
    Bytes(layers.sum::<u64>().saturating_mul(batch).saturating_mul(sequence).saturating_mul(12))
}
