//! What callers decide: the grad mode in which a function runs, and whether it runs in a loop.

use ruff_python_ast::{Expr, Stmt};
use rustc_hash::FxHashMap;

use crate::facts::{Facts, Mode};
use crate::imports::dotted;
use crate::index::{Class, FunctionId, Index};
use crate::torch_api;
use crate::value::Kind;

/// One place that calls a function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallSite {
    pub(crate) caller: FunctionId,
    pub(crate) mode: Mode,
    pub(crate) in_loop: bool,
    pub(crate) at: ruff_text_size::TextSize,
}

/// Who calls whom.
pub(crate) type CallSites = FxHashMap<FunctionId, Vec<CallSite>>;

/// Collects the call sites of every function; a function handed over counts as called there.
pub(crate) fn call_sites<'f, 'a: 'f>(
    index: &Index<'a>,
    facts: impl Iterator<Item = (FunctionId, &'f Facts<'a>)>,
) -> CallSites {
    let mut sites: CallSites = FxHashMap::default();
    for (caller, facts) in facts {
        for call in &facts.calls {
            let handed = call.arguments.iter().filter_map(|(_, value)| match value.kind {
                Kind::Function(id) => Some(id),
                _ => None,
            });
            // `self.step()` in a base class may run what a subclass defines.
            let below = call
                .receiver_class
                .map_or_else(Vec::new, |class| index.overriders(class, call.name));
            for callee in call.callee.into_iter().chain(handed).chain(below) {
                sites.entry(callee).or_default().push(CallSite {
                    caller,
                    mode: call.mode,
                    in_loop: call.in_loop.is_some(),
                    at: call.call.range_start,
                });
            }
        }
    }
    sites
}

/// The mode that a function's own decorators or framework give it.
pub(crate) fn declared_mode(index: &Index<'_>, id: FunctionId) -> Option<Mode> {
    let function = index.function(id)?;
    let class = function.class.and_then(|class| index.class(class));
    let class_decorators = class.map_or(&[][..], |class| class.decorators);
    for decorator in function.decorators.iter().chain(class_decorators) {
        let expr = match &decorator.expression {
            ruff_python_ast::Expr::Call(call) => &*call.func,
            other => other,
        };
        let Some(path) = dotted(expr) else { continue };
        let imports = &index.names(function.file)?.imports;
        let path = imports.resolve(expr).unwrap_or(path);
        if torch_api::switches_grad_off(&path) {
            return Some(Mode::Off);
        }
        if path.ends_with("enable_grad") {
            return Some(Mode::On);
        }
    }
    let class = class?;
    if function.name == "update" && is_not_differentiable(class) {
        return Some(Mode::Off);
    }
    let base = |wanted: &[&str]| {
        class.bases.iter().any(|b| wanted.contains(&b.rsplit('.').next().unwrap_or(b)))
    };
    let framework_off = base(&["LightningModule", "Callback", "BasePredictionWriter", "Trainer"])
        && (function.name.starts_with("validation_")
            || function.name.starts_with("test_step")
            || function.name.starts_with("predict_step")
            || function.name.starts_with("on_validation")
            || function.name.starts_with("on_test")
            || function.name.starts_with("on_predict"));
    let autograd_function =
        base(&["Function"]) && matches!(function.name, "forward" | "backward" | "jvp");
    (framework_off || autograd_function).then_some(Mode::Off)
}

/// `is_differentiable = False` in a metric: its framework runs updates without autograd.
fn is_not_differentiable(class: &Class<'_>) -> bool {
    class.statements.iter().any(|stmt| {
        let (target, value) = match stmt {
            Stmt::Assign(s) => (s.targets.first(), Some(&*s.value)),
            Stmt::AnnAssign(s) => (Some(&*s.target), s.value.as_deref()),
            _ => return false,
        };
        matches!(target, Some(Expr::Name(name)) if name.id.as_str() == "is_differentiable")
            && matches!(value, Some(Expr::BooleanLiteral(flag)) if !flag.value)
    })
}

/// The mode of every function, its callers considered.
pub(crate) fn resolve_modes(index: &Index<'_>, sites: &CallSites) -> FxHashMap<FunctionId, Mode> {
    let mut modes: FxHashMap<FunctionId, Mode> = index
        .function_ids()
        .filter_map(|id| declared_mode(index, id).map(|mode| (id, mode)))
        .collect();
    for id in index.function_ids() {
        if index.function(id).is_some_and(|f| f.parent.is_none()) {
            modes.insert(id, Mode::On);
        }
    }
    for id in index.function_ids() {
        // What is defined inside a function that runs without autograd serves that run.
        let parent = index.function(id).and_then(|f| f.parent);
        if !modes.contains_key(&id) && parent.is_some_and(|p| modes.get(&p) == Some(&Mode::Off)) {
            modes.insert(id, Mode::Off);
        }
    }
    for _ in 0..8 {
        let mut changed = false;
        for id in index.function_ids() {
            if modes.contains_key(&id) {
                continue;
            }
            let Some(sites) = sites.get(&id) else { continue };
            let mut seen =
                sites.iter().filter(|site| site.caller != id).map(|site| match site.mode {
                    Mode::Inherited => modes.get(&site.caller).copied().unwrap_or_default(),
                    mode => mode,
                });
            let Some(first) = seen.next() else { continue };
            let mut all_off = first == Mode::Off;
            let mut any_on = first == Mode::On;
            for mode in seen {
                all_off &= mode == Mode::Off;
                any_on |= mode == Mode::On;
            }
            if all_off {
                modes.insert(id, Mode::Off);
                changed = true;
            } else if any_on {
                modes.insert(id, Mode::On);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    modes
}

/// Functions that run again and again: called from a loop, or from a function that is.
pub(crate) fn repeated(index: &Index<'_>, sites: &CallSites) -> FxHashMap<FunctionId, CallSite> {
    let mut repeated: FxHashMap<FunctionId, CallSite> = FxHashMap::default();
    for _ in 0..16 {
        let mut changed = false;
        for id in index.function_ids() {
            if repeated.contains_key(&id) {
                continue;
            }
            let Some(sites) = sites.get(&id) else { continue };
            let site = sites.iter().find(|site| {
                site.caller != id && (site.in_loop || repeated.contains_key(&site.caller))
            });
            if let Some(site) = site {
                repeated.insert(id, *site);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    repeated
}
