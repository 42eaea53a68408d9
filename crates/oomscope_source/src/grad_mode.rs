//! What a context manager switches, and what a test says of a value.

use ruff_python_ast::{Expr, Stmt, UnaryOp};

use crate::facts::Mode;
use crate::imports::{last_of_dotted, last_part};
use crate::index::for_each_block;
use crate::search::{called_name, yields};
use crate::torch_api;
use crate::walk::Walker;

impl<'a> Walker<'a, '_> {
    /// The mode that a `with` item or a statement switches to.
    pub(crate) fn grad_mode_of(&self, expr: &Expr) -> Option<Mode> {
        let (callee, arguments) = match expr {
            Expr::Call(call) => (&*call.func, Some(&call.arguments)),
            // `with torch.no_grad if x else nullcontext` and the like.
            Expr::If(_) => return Some(Mode::Unknown),
            other => (other, None),
        };
        if let Expr::If(_) = callee {
            return Some(Mode::Unknown);
        }
        let last = last_of_dotted(callee)?;
        let resolved = self.index.names(self.file)?.imports.resolve(callee);
        let last = resolved.as_deref().map_or(last, last_part);
        let flag = arguments.and_then(|a| a.args.first());
        match last {
            "no_grad" | "inference_mode" => match flag {
                Some(Expr::BooleanLiteral(b)) if !b.value => Some(Mode::On),
                Some(Expr::BooleanLiteral(_)) | None => Some(Mode::Off),
                Some(_) => Some(Mode::Unknown),
            },
            "enable_grad" => Some(Mode::On),
            "set_grad_enabled" => match flag {
                Some(Expr::BooleanLiteral(b)) if b.value => Some(Mode::On),
                Some(Expr::BooleanLiteral(_)) => Some(Mode::Off),
                _ => Some(Mode::Unknown),
            },
            wrapper if wrapper.contains("no_grad") || wrapper.contains("inference_") => {
                let sure = !wrapper.starts_with("maybe") && !wrapper.contains("optional");
                Some(if sure { Mode::Off } else { Mode::Unknown })
            }
            wrapper if wrapper.split('_').any(|word| word == "grad") => Some(Mode::Unknown),
            name => {
                let manager = self.index.function_named(self.file, name)?;
                let body = self.index.function(manager)?.body;
                yields_without_grad(body, 0).then_some(Mode::Off)
            }
        }
    }

    /// `isinstance(x, torch.Tensor)`, `torch.is_tensor(x)`, `hasattr(x, "item")` as the name and
    /// whether the body sees a tensor.
    pub(crate) fn tensor_test(&self, test: &Expr) -> Option<(&'a str, bool)> {
        match test {
            Expr::UnaryOp(op) if matches!(op.op, UnaryOp::Not) => {
                self.tensor_test(&op.operand).map(|(name, is_tensor)| (name, !is_tensor))
            }
            Expr::Call(call) => {
                let (first, second) = (call.arguments.args.first()?, call.arguments.args.get(1));
                let says_tensor = match (called_name(call), second) {
                    ("is_tensor", None) => true,
                    ("isinstance", Some(kind)) => last_of_dotted(kind) == Some("Tensor"),
                    ("hasattr", Some(Expr::StringLiteral(text))) => {
                        matches!(text.value.to_str(), "item" | "detach" | "cpu" | "grad_fn")
                    }
                    _ => false,
                };
                says_tensor.then(|| self.path(first)).flatten().map(|name| (name, true))
            }
            _ => None,
        }
    }
}

/// Whether a context manager's body runs under `no_grad`.
fn yields_without_grad(body: &[Stmt], depth: usize) -> bool {
    depth < 8
        && body.iter().any(|stmt| {
            if let Stmt::With(with) = stmt
                && with.items.iter().any(|item| {
                    matches!(&item.context_expr, Expr::Call(call)
                        if torch_api::switches_grad_off(called_name(call)))
                })
            {
                return yields(&with.body);
            }
            let mut found = false;
            for_each_block(stmt, &mut |block| found |= yields_without_grad(block, depth + 1));
            found
        })
}
