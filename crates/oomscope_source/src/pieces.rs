//! The parts of what is stored: elements of a literal, what a callable holds.

use ruff_python_ast::{Expr, Parameters};

use crate::facts::Piece;
use crate::search::{called_name, each_expr};
use crate::store::constructs;
use crate::value::{Value, combine};
use crate::walk::Walker;

impl<'a> Walker<'a, '_> {
    /// The parts of a stored literal that carry a graph, or the value itself.
    pub(crate) fn collect_pieces(
        &mut self,
        expr: &'a Expr,
        value: &Value,
        pieces: &mut Vec<Piece<'a>>,
    ) {
        let parts: Vec<&'a Expr> = match expr {
            Expr::Tuple(tuple) => tuple.elts.iter().collect(),
            Expr::List(list) => list.elts.iter().collect(),
            Expr::Dict(dict) => dict.items.iter().map(|item| &item.value).collect(),
            Expr::Call(call) if constructs(call) => {
                let keywords = call.arguments.keywords.iter().map(|k| &k.value);
                call.arguments.args.iter().chain(keywords).collect()
            }
            Expr::Lambda(_) => {
                let value = self.captured(expr);
                pieces.push(Piece { expr, value });
                return;
            }
            Expr::Call(call) if called_name(call) == "partial" => {
                let keywords = call.arguments.keywords.iter().map(|k| &k.value);
                let given: Vec<&'a Expr> = call.arguments.args.iter().chain(keywords).collect();
                let given: Vec<Value> =
                    given.into_iter().map(|part| self.evaluate_quietly(part)).collect();
                pieces.push(Piece { expr, value: combine(given.iter()) });
                return;
            }
            _ => {
                pieces.push(Piece { expr, value: value.clone() });
                return;
            }
        };
        for part in parts {
            if pieces.len() > 32 {
                return;
            }
            let value = self.evaluate_quietly(part);
            self.depth += 1;
            if self.depth < 24 {
                self.collect_pieces(part, &value, pieces);
            }
            self.depth -= 1;
        }
    }

    /// What a lambda holds: its defaults, and the names around it. In a loop all its lambdas share
    /// the names, which hold the newest value only.
    fn captured(&mut self, expr: &'a Expr) -> Value {
        let Expr::Lambda(lambda) = expr else { return Value::default() };
        let parameters = lambda.parameters.as_deref();
        let mut held: Vec<Value> = Vec::new();
        for parameter in parameters.into_iter().flat_map(Parameters::iter_non_variadic_params) {
            if let Some(default) = &parameter.default {
                held.push(self.evaluate_quietly(default));
            }
        }
        if self.in_loop.is_none() {
            let mut names: Vec<&'a str> = Vec::new();
            each_expr(&lambda.body, &mut |inner| {
                if let Expr::Name(name) = inner
                    && names.len() < 32
                {
                    names.push(name.id.as_str());
                }
            });
            names.retain(|name| {
                parameters.is_none_or(|p| {
                    p.iter_non_variadic_params().all(|own| own.parameter.name.as_str() != *name)
                })
            });
            for name in names {
                if let Some(binding) = self.names.lookup(name) {
                    held.push(binding.value.clone());
                }
            }
        }
        combine(held.iter())
    }
}
