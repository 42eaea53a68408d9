//! What the names of a file stand for: `import torch as t`, `from torch import no_grad`.

use compact_str::CompactString;
use ruff_python_ast::visitor::{Visitor, walk_stmt};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged;
use rustc_hash::FxHashMap;

use crate::parse::module_path;

/// Local name to dotted path, over the whole file (imports inside functions included).
#[derive(Debug, Default)]
pub(crate) struct Imports {
    names: FxHashMap<CompactString, String>,
    /// Modules imported with a star.
    pub(crate) stars: Vec<String>,
}

/// Collects every import of a file. Relative ones become paths below the file's own package.
pub(crate) fn collect_imports(body: &[Stmt], path: &str) -> Imports {
    struct Collector<'p>(Imports, &'p str);
    impl<'a> Visitor<'a> for Collector<'_> {
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            match stmt {
                Stmt::Import(import) => {
                    for alias in &import.names {
                        let full = alias.name.as_str();
                        if let Some(name) = &alias.asname {
                            self.0.names.insert(name.as_str().into(), full.to_owned())
                        } else {
                            let first = full.split('.').next().unwrap_or(full);
                            self.0.names.insert(first.into(), first.to_owned())
                        };
                    }
                }
                Stmt::ImportFrom(import) => {
                    let module = import.module.as_ref().map_or("", |m| m.as_str());
                    let absolute =
                        (import.level > 0).then(|| package(self.1, import.level, module));
                    let module = absolute.as_deref().unwrap_or(module);
                    for alias in &import.names {
                        if alias.name.as_str() == "*" {
                            self.0.stars.push(module.to_owned());
                            continue;
                        }
                        let local = alias.asname.as_ref().unwrap_or(&alias.name);
                        let full = if module.is_empty() {
                            alias.name.to_string()
                        } else {
                            format!("{module}.{}", alias.name)
                        };
                        self.0.names.insert(local.as_str().into(), full);
                    }
                }
                _ => walk_stmt(self, stmt),
            }
        }
        fn visit_expr(&mut self, _expr: &'a Expr) {}
    }
    let mut collector = Collector(Imports::default(), path);
    for stmt in body {
        collector.visit_stmt(stmt);
    }
    collector.0
}

/// The dotted path of `from ..module import` in the file at `path`.
fn package(path: &str, level: u32, module: &str) -> String {
    let own = module_path(path);
    let is_package = own.len() < path.rfind(['/', '\\']).map_or(0, |separator| separator + 1);
    let up = (level as usize).saturating_sub(usize::from(is_package));
    let folder = own.rsplitn(up + 1, ['/', '\\']).nth(up).unwrap_or_default();
    // The outermost folders say nothing about the package and would only cost.
    let start = folder.rmatch_indices(['/', '\\']).nth(5).map_or(0, |(at, _)| at + 1);
    let mut dotted = folder.get(start..).unwrap_or_default().replace(['/', '\\'], ".");
    if !module.is_empty() {
        if !dotted.is_empty() {
            dotted.push('.');
        }
        dotted.push_str(module);
    }
    dotted
}

impl Imports {
    /// Local names with the dotted paths that they were imported as.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().map(|(name, path)| (name.as_str(), path.as_str()))
    }

    /// All dotted paths that names were imported as.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.names.values().map(String::as_str).chain(self.stars.iter().map(String::as_str))
    }

    /// The dotted path that a local name was imported as.
    pub(crate) fn path_of(&self, name: &str) -> Option<&str> {
        self.names.get(name).map(String::as_str)
    }

    /// `F.cross_entropy` as `torch.nn.functional.cross_entropy`, where `F` is an import.
    /// Usual short forms of PyTorch are understood in files that import with a star.
    pub(crate) fn resolve(&self, expr: &Expr) -> Option<CompactString> {
        let mut path = CompactString::from(self.meaning(root_of_dotted(expr)?)?);
        push_attributes(&mut path, expr);
        Some(path)
    }

    /// Whether [`Imports::resolve`] has a path for an expression.
    pub(crate) fn resolves(&self, expr: &Expr) -> bool {
        root_of_dotted(expr).is_some_and(|root| self.meaning(root).is_some())
    }

    /// What a name that a path starts with stands for.
    fn meaning(&self, root: &str) -> Option<&str> {
        Some(match self.path_of(root) {
            Some("torch.nn.modules") => "torch.nn",
            Some(path) => path,
            None if self.stars.is_empty() => return None,
            None => match root {
                "torch" => "torch",
                "nn" => "torch.nn",
                "F" => "torch.nn.functional",
                _ => return None,
            },
        })
    }
}

fn push_attributes(path: &mut CompactString, expr: &Expr) {
    if let Expr::Attribute(attribute) = expr {
        push_attributes(path, &attribute.value);
        path.push('.');
        path.push_str(attribute.attr.as_str());
    }
}

/// `a.b.c` as text, where the expression is names and attributes only.
pub(crate) fn dotted(expr: &Expr) -> Option<CompactString> {
    let mut path = CompactString::from(root_of_dotted(expr)?);
    push_attributes(&mut path, expr);
    Some(path)
}

/// `a.b.c` as it stands in the text, where the expression is names and attributes only, and no
/// white space parts them.
pub(crate) fn path_in<'t>(text: &'t str, expr: &Expr) -> Option<&'t str> {
    let (mut root, mut length) = (expr, 0);
    while let Expr::Attribute(attribute) = root {
        length += 1 + attribute.attr.as_str().len();
        root = &attribute.value;
    }
    let length = length + root.as_name_expr()?.id.as_str().len();
    let range = expr.range().to_std_range();
    if range.len() == length { text.get(range) } else { None }
}

/// The name that a dotted path starts with, where the expression is names and attributes only.
pub(crate) fn root_of_dotted(expr: &Expr) -> Option<&str> {
    let mut root = expr;
    while let Expr::Attribute(attribute) = root {
        root = &attribute.value;
    }
    root.as_name_expr().map(|name| name.id.as_str())
}

/// The name that it ends with.
pub(crate) fn last_of_dotted(expr: &Expr) -> Option<&str> {
    let root = root_of_dotted(expr)?;
    Some(expr.as_attribute_expr().map_or(root, |attribute| attribute.attr.as_str()))
}

/// The last part of a dotted path: `history` of `self.history`.
pub(crate) fn last_part(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
