//! OOM921: every rank of a job uses the default device.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::{Ranged, TextRange};

use crate::edit::{fix, line_before};
use crate::index::{FileId, FunctionId};
use crate::parse::Parsed;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM921",
    name: "default-device-per-rank",
    group: Group::Distributed,
    cause: Cause::RanksOnOneDevice,
    severity: Severity::Warning,
    doc: include_str!("default_device_per_rank.md"),
    check,
};

/// A use of a device: where, and whether it names the default one.
struct DeviceUse {
    function: FunctionId,
    range: TextRange,
    /// `torch.device("cuda")`, rather than a tensor or model that is moved.
    declares: bool,
}

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    let pins = ["set_device(", "Accelerator(", "init_distributed("];
    let pinned = |file: &Parsed| pins.iter().any(|call| file.text.contains(call));
    let inits = |file: &Parsed| file.text.contains("init_process_group");
    if !project.index.parsed.iter().any(inits) || project.index.parsed.iter().any(pinned) {
        return;
    }
    for number in 0..u32::try_from(project.index.files.len()).unwrap_or(u32::MAX) {
        check_file(project, FileId(number), findings);
    }
}

fn check_file(project: &Project<'_>, file_id: FileId, findings: &mut Vec<(FileId, Finding)>) {
    let Some(file) = project.index.file(file_id) else { return };
    if !file.text.contains("init_process_group") || file.text.contains("device_ids") {
        return;
    }
    let reads_rank = file.text.contains("LOCAL_RANK")
        || file.text.contains("local_rank")
        || file.text.contains("rank");
    if !reads_rank {
        return;
    }
    let mut uses: Vec<DeviceUse> = Vec::new();
    for (id, _, facts) in project.functions_of(file_id) {
        for call in &facts.calls {
            let first = call.call.arguments.args.first();
            let indexed = call.call.arguments.args.len() > 1;
            let (relevant, declares) = match (call.path.as_deref(), call.name) {
                (Some("torch.device"), _) => (true, true),
                (_, "cuda") if call.receiver.is_some() => {
                    if first.is_some() {
                        return; // placed by an argument
                    }
                    (true, false)
                }
                (_, "to") => (true, false),
                _ => (false, false),
            };
            if !relevant {
                continue;
            }
            let declared = match first {
                Some(Expr::StringLiteral(text)) => match text.value.to_str() {
                    "cuda" if indexed && declares => return,
                    "cuda" | "cuda:0" => true,
                    _ => false,
                },
                // `f"cuda:{rank}"`: each rank has its own.
                Some(Expr::FString(_)) => return,
                None => call.name == "cuda",
                Some(_) if declares => {
                    if !matches!(first, Some(Expr::If(_))) {
                        return;
                    }
                    file.slice(call.call).contains("\"cuda\"")
                }
                _ => false,
            };
            if declared {
                uses.push(DeviceUse { function: id, range: call.call.range(), declares });
            }
        }
    }
    let chosen = uses.iter().find(|u| u.declares).or_else(|| uses.first());
    let Some(chosen) = chosen else { return };
    report_use(project, chosen, findings);
}

fn report_use(project: &Project<'_>, chosen: &DeviceUse, findings: &mut Vec<(FileId, Finding)>) {
    let Some(function) = project.index.function(chosen.function) else { return };
    let Some(file) = project.index.file(function.file) else { return };
    let imports_os =
        project.index.names(function.file).is_some_and(|n| n.imports.path_of("os") == Some("os"));
    let body = file.slice(&function.range);
    let rank = if body.contains("local_rank") && !body.contains(".local_rank") {
        Some("local_rank".to_owned())
    } else if body.contains("args.local_rank") {
        Some("args.local_rank".to_owned())
    } else if imports_os {
        Some("int(os.environ[\"LOCAL_RANK\"])".to_owned())
    } else {
        None
    };
    let statement_start =
        file.line_start(chosen.range.start()) + file.indentation(chosen.range.start()).len();
    let edit = rank.and_then(|rank| {
        let at = ruff_text_size::TextSize::try_from(statement_start).ok()?;
        line_before(file, at, &format!("torch.cuda.set_device({rank})"))
    });
    let text = short(file.slice(&chosen.range));
    let what = format!("`{text}` is device 0 in every rank");
    let finding = Report {
        function: chosen.function,
        range: chosen.range,
        severity: Severity::Warning,
        held: Held::Tensors,
        message: format!(
            "every rank of this job uses the default device: `{text}`, and no `set_device`"
        ),
        path: step(project, chosen.function, chosen.range, what).into_iter().collect(),
        fix: edit.map(|edit| fix(FixSafety::Unsafe, "give each rank its device", vec![edit])),
    };
    report(project, &RULE, finding, findings);
}
