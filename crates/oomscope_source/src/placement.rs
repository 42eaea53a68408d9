//! Where a call puts a tensor: `.cuda()`, `.to(device)`, `device="cuda"`, as far as its text says.

use ruff_python_ast::{Expr, ExprCall};

use crate::imports::dotted;
use crate::search::called_name;

/// Where a tensor is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    Host,
    /// An accelerator, or whatever a variable named for a device holds.
    Device,
}

/// Where `x.cuda()`, `x.cpu()` or `x.to(..)` puts `x`; none where it only converts.
pub(crate) fn moved_to(call: &ExprCall) -> Option<Placement> {
    if !call.func.is_attribute_expr() {
        return None;
    }
    match called_name(call) {
        "cuda" => Some(Placement::Device),
        "cpu" => Some(Placement::Host),
        "to" => {
            device_keyword(call).or_else(|| call.arguments.args.first()).and_then(device_named_by)
        }
        _ => None,
    }
}

/// The argument `device=…` of a call.
pub(crate) fn device_keyword(call: &ExprCall) -> Option<&Expr> {
    let keywords = &call.arguments.keywords;
    let device = keywords.iter().find(|k| k.arg.as_ref().is_some_and(|a| a.as_str() == "device"));
    device.map(|keyword| &keyword.value)
}

/// What an expression says as a device: `"cuda:0"`, `torch.device("cpu")`, `self.device`.
pub(crate) fn device_named_by(expr: &Expr) -> Option<Placement> {
    match expr {
        Expr::StringLiteral(text) => by_text(text.value.to_str()),
        Expr::FString(text) => {
            let literal = text.value.elements().find_map(|part| part.as_literal())?;
            by_text(literal)
        }
        Expr::Call(call) if matches!(called_name(call), "device" | "current_device") => {
            match call.arguments.args.first() {
                Some(first) => device_named_by(first).or(Some(Placement::Device)),
                None => Some(Placement::Device),
            }
        }
        Expr::Name(_) | Expr::Attribute(_) => {
            let path = dotted(expr)?;
            let last = path.rsplit('.').next().unwrap_or(&path).to_ascii_lowercase();
            if last.contains("cpu") {
                return Some(Placement::Host);
            }
            let is_device =
                last.contains("device") || last.contains("cuda") || last.contains("gpu");
            is_device.then_some(Placement::Device)
        }
        _ => None,
    }
}

fn by_text(text: &str) -> Option<Placement> {
    let kind = text.split(':').next().unwrap_or(text);
    match kind {
        "cpu" | "meta" => Some(Placement::Host),
        "cuda" | "xpu" | "mps" | "npu" | "hpu" | "musa" => Some(Placement::Device),
        _ => None,
    }
}
