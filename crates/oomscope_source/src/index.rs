//! Every function and class of every given file, and how their names are found.

use compact_str::CompactString;
use ruff_python_ast::{Decorator, Expr, Parameter, Parameters, Stmt};
use ruff_text_size::{Ranged, TextRange};
use rustc_hash::FxHashMap;

use crate::Wanted;
use crate::imports::{Imports, collect_imports};
use crate::parse::{Parsed, holds_unit_tests};
use crate::search::yields;

/// Index of a function in [`Index::functions`]. Module bodies count as functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FunctionId(pub(crate) u32);

/// Index of a class in [`Index::classes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClassId(pub(crate) u32);

/// Index of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId(pub(crate) u32);

/// A function, a method, or a module's own statements.
pub(crate) struct Function<'a> {
    pub(crate) file: FileId,
    /// `Trainer.step`; `<module>` for a module's own statements.
    pub(crate) qualified: String,
    pub(crate) name: &'a str,
    pub(crate) class: Option<ClassId>,
    pub(crate) parent: Option<FunctionId>,
    pub(crate) parameters: Option<&'a Parameters>,
    /// Its parameters by number: named ones, then `*args`, then `**kwargs`.
    pub(crate) parameter_names: Vec<&'a str>,
    pub(crate) decorators: &'a [Decorator],
    pub(crate) body: &'a [Stmt],
    pub(crate) range: TextRange,
    /// Where its `def` starts, after the decorators.
    pub(crate) def_start: ruff_text_size::TextSize,
    /// Whether it or its file is a unit test: nothing there runs for long.
    pub(crate) is_unit_test: bool,
}

/// A class.
pub(crate) struct Class<'a> {
    pub(crate) file: FileId,
    pub(crate) bases: Vec<String>,
    pub(crate) decorators: &'a [Decorator],
    pub(crate) methods: FxHashMap<&'a str, FunctionId>,
    /// Statements of the body that are not definitions.
    pub(crate) statements: Vec<&'a Stmt>,
}

/// A file's own names.
pub(crate) struct FileNames<'a> {
    pub(crate) imports: Imports,
    /// Number of the function that stands for the file's own statements; its others follow.
    first_function: u32,
    pub(crate) functions: FxHashMap<&'a str, FunctionId>,
    pub(crate) classes: FxHashMap<&'a str, ClassId>,
    /// Imported names that are functions or classes of the given files.
    imported: FxHashMap<CompactString, (Option<FunctionId>, Option<ClassId>)>,
}

/// All definitions.
pub(crate) struct Index<'a> {
    pub(crate) parsed: &'a [Parsed],
    pub(crate) files: Vec<FileNames<'a>>,
    pub(crate) functions: Vec<Function<'a>>,
    pub(crate) classes: Vec<Class<'a>>,
    /// Definitions by the place of their `def`, to find nested ones again.
    pub(crate) by_start: FxHashMap<(FileId, u32), FunctionId>,
    by_method: FxHashMap<&'a str, Option<FunctionId>>,
    by_function: FxHashMap<&'a str, Option<FunctionId>>,
    by_class: FxHashMap<&'a str, Option<ClassId>>,
    /// Files by the last part of their module path.
    modules: FxHashMap<&'a str, Vec<FileId>>,
    /// Libraries of which files may be given, by their folders.
    given_libraries: Vec<&'static str>,
    /// The first base of each class that is given.
    bases: Vec<Option<ClassId>>,
    /// Classes whose first given base is this one.
    derived: Vec<Vec<ClassId>>,
    /// Whether each class is a neural module, through its bases.
    module_classes: Vec<bool>,
}

impl<'a> Function<'a> {
    /// Whether calling it makes a generator.
    pub(crate) fn is_generator(&self) -> bool {
        self.parameters.is_some() && yields(self.body)
    }

    /// Whether its body does nothing but refuse: what runs is another class's.
    pub(crate) fn is_abstract(&self) -> bool {
        let is_text =
            |stmt: &Stmt| matches!(stmt, Stmt::Expr(s) if s.value.is_string_literal_expr());
        match self.body {
            [only] => is_refusal(only),
            [text, only] => is_text(text) && is_refusal(only),
            _ => false,
        }
    }

    /// The parameters by number: named ones, then `*args`, then `**kwargs`.
    pub(crate) fn numbered_parameters(&self) -> impl Iterator<Item = &'a Parameter> + use<'a> {
        self.parameters.into_iter().flat_map(numbered)
    }
}

fn numbered(parameters: &Parameters) -> impl Iterator<Item = &Parameter> {
    let named = parameters.iter_non_variadic_params().map(|p| &p.parameter);
    let rest = parameters.vararg.iter().chain(parameters.kwarg.iter());
    named.chain(rest.map(std::convert::AsRef::as_ref))
}

impl<'a> Index<'a> {
    pub(crate) fn function(&self, id: FunctionId) -> Option<&Function<'a>> {
        self.functions.get(id.0 as usize)
    }

    pub(crate) fn class(&self, id: ClassId) -> Option<&Class<'a>> {
        self.classes.get(id.0 as usize)
    }

    pub(crate) fn names(&self, id: FileId) -> Option<&FileNames<'a>> {
        self.files.get(id.0 as usize)
    }

    pub(crate) fn file(&self, id: FileId) -> Option<&'a Parsed> {
        self.parsed.get(id.0 as usize)
    }

    /// The file of a function.
    pub(crate) fn file_of(&self, id: FunctionId) -> Option<&'a Parsed> {
        self.file(self.function(id)?.file)
    }

    /// Ids of a file's functions, its own statements first.
    pub(crate) fn functions_of(&self, file: FileId) -> impl Iterator<Item = FunctionId> + use<> {
        let of = |file: usize| self.files.get(file).map(|names| names.first_function);
        let start = of(file.0 as usize).unwrap_or(u32::MAX);
        let end = u32::try_from(self.functions.len()).unwrap_or(u32::MAX);
        let end = of(file.0 as usize + 1).unwrap_or(end);
        (start..end).map(FunctionId)
    }

    /// All files, each after those that it imports; cycles are cut where they are entered.
    pub(crate) fn imported_first(&self) -> Vec<FileId> {
        let mut order = Vec::with_capacity(self.files.len());
        let mut seen = vec![false; self.files.len()];
        for file in (0u32..).take(self.files.len()).map(FileId) {
            // Each entry is a file and those of its imports that are still to be entered.
            let mut open: Vec<(FileId, Vec<FileId>)> = Vec::new();
            let enter = |file: FileId, seen: &mut Vec<bool>, open: &mut Vec<_>| {
                if let Some(seen) = seen.get_mut(file.0 as usize).filter(|seen| !**seen) {
                    *seen = true;
                    open.push((file, self.imports_of(file)));
                }
            };
            enter(file, &mut seen, &mut open);
            while let Some((file, rest)) = open.last_mut() {
                if let Some(next) = rest.pop() {
                    enter(next, &mut seen, &mut open);
                } else {
                    order.push(*file);
                    open.pop();
                }
            }
        }
        order
    }

    /// The given files that a file imports from, last one first.
    fn imports_of(&self, file: FileId) -> Vec<FileId> {
        let Some(names) = self.names(file) else { return Vec::new() };
        let module = |path: &str| {
            let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
            self.module_named(parent).or_else(|| self.module_named(path)).map(|(file, _)| file)
        };
        let mut imported: Vec<FileId> = names.imports.paths().filter_map(module).collect();
        imported.sort_unstable_by(|a, b| b.cmp(a));
        imported.dedup();
        imported
    }

    /// Ids of all functions, module bodies first within each file.
    pub(crate) fn function_ids(&self) -> impl Iterator<Item = FunctionId> + use<> {
        (0..u32::try_from(self.functions.len()).unwrap_or(u32::MAX)).map(FunctionId)
    }

    /// The function that a bare name means in a file: its own, an imported one, a starred one.
    pub(crate) fn function_named(&self, file: FileId, name: &str) -> Option<FunctionId> {
        let names = self.names(file)?;
        if let Some(id) = names.functions.get(name) {
            return Some(*id);
        }
        if let Some((function, _)) = names.imported.get(name) {
            return *function;
        }
        (!names.imports.stars.is_empty()).then(|| self.by_function.get(name).copied()?).flatten()
    }

    /// The class that a bare name means in a file.
    pub(crate) fn class_named(&self, file: FileId, name: &str) -> Option<ClassId> {
        let names = self.names(file)?;
        if let Some(id) = names.classes.get(name) {
            return Some(*id);
        }
        if let Some((_, class)) = names.imported.get(name) {
            return *class;
        }
        (!names.imports.stars.is_empty()).then(|| self.by_class.get(name).copied()?).flatten()
    }

    /// The function and the class at a dotted path: `package.module.function`.
    pub(crate) fn defined_at(&self, path: &str) -> (Option<FunctionId>, Option<ClassId>) {
        match self.definition_at(path) {
            Definition::In(file, name) => self.names(file).map_or((None, None), |names| {
                (names.functions.get(name).copied(), names.classes.get(name).copied())
            }),
            Definition::External => (None, None),
            Definition::Somewhere(name) => (
                self.by_function.get(name).copied().flatten(),
                self.by_class.get(name).copied().flatten(),
            ),
        }
    }

    /// Where a dotted path leads, re-exports followed.
    fn definition_at<'s>(&'s self, path: &'s str) -> Definition<'s> {
        let mut path = path;
        for _ in 0..DEEPEST_REEXPORT {
            let (module, name) = path.rsplit_once('.').unwrap_or(("", path));
            let library = library(module);
            if library.is_some_and(|library| !self.given_libraries.contains(&library)) {
                return Definition::External;
            }
            let file = match self.module_named(module) {
                Some((_, Match::Partial)) | None if library.is_some() => {
                    return Definition::External;
                }
                Some((file, _)) => file,
                None => return Definition::Somewhere(name),
            };
            let Some(names) = self.names(file) else { return Definition::External };
            let is_here = names.functions.contains_key(name) || names.classes.contains_key(name);
            match names.imports.path_of(name) {
                Some(onwards) if !is_here && onwards != path => path = onwards,
                _ => return Definition::In(file, name),
            }
        }
        Definition::External
    }

    /// The file that a module path names: the one whose own path ends most like it.
    fn module_named(&self, module: &str) -> Option<(FileId, Match)> {
        let last = module.rsplit('.').next().unwrap_or(module);
        let candidates = self.modules.get(last)?;
        let (mut most, mut best) = (0, None);
        for file in candidates {
            let path = self.file(*file).map_or("", Parsed::module_path);
            let shared = shared_parts(path.as_bytes(), module.as_bytes());
            if shared > most {
                (most, best) = (shared, Some(*file));
            } else if shared == most {
                best = None;
            }
        }
        let whole = most == 1 + memchr::memchr_iter(b'.', module.as_bytes()).count();
        best.map(|file| (file, if whole { Match::Whole } else { Match::Partial }))
    }

    /// The method of a class, looked up through its bases within the given files.
    pub(crate) fn method(&self, class: ClassId, name: &str) -> Option<FunctionId> {
        let mut at = Some(class);
        for _ in 0..16 {
            let class = self.class(at?)?;
            if let Some(id) = class.methods.get(name) {
                return Some(*id);
            }
            at = at.and_then(|id| self.base_of(id));
        }
        None
    }

    /// Methods of subclasses that a call on an object typed as `class` may run.
    pub(crate) fn overriders(&self, class: ClassId, name: &str) -> Vec<FunctionId> {
        let mut found = Vec::new();
        let mut below: Vec<ClassId> = self.derived_from(class).to_vec();
        let mut seen = 0;
        while let Some(class) = below.pop() {
            seen += 1;
            if found.len() >= 64 || seen > 4096 {
                break;
            }
            found.extend(self.class(class).and_then(|class| class.methods.get(name)).copied());
            below.extend(self.derived_from(class));
        }
        found.sort_unstable();
        found
    }

    fn derived_from(&self, class: ClassId) -> &[ClassId] {
        self.derived.get(class.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// The first base of a class that is given.
    fn base_of(&self, class: ClassId) -> Option<ClassId> {
        *self.bases.get(class.0 as usize)?
    }

    /// The only method of that name in a file.
    pub(crate) fn method_in_file(&self, file: FileId, name: &str) -> Option<FunctionId> {
        let mut found = self
            .names(file)?
            .classes
            .values()
            .filter_map(|class| self.class(*class)?.methods.get(name).copied());
        let only = found.next()?;
        found.next().is_none().then_some(only)
    }

    /// The only method of that name in all files.
    pub(crate) fn unique_method(&self, name: &str) -> Option<FunctionId> {
        *self.by_method.get(name)?
    }

    /// Whether a class is a neural module, through its bases.
    pub(crate) fn is_module_class(&self, class: ClassId) -> bool {
        self.module_classes.get(class.0 as usize).copied().unwrap_or_default()
    }

    fn resolve_imports(&mut self) {
        let resolved = self.files.iter().map(|names| {
            let imports = names.imports.names();
            imports.map(|(name, path)| (name.into(), self.defined_at(path)))
        });
        let resolved: Vec<FxHashMap<_, _>> = resolved.map(Iterator::collect).collect();
        for (names, imported) in self.files.iter_mut().zip(resolved) {
            names.imported = imported;
        }
    }

    fn resolve_bases(&mut self) {
        self.bases = self
            .classes
            .iter()
            .map(|class| {
                class.bases.iter().find_map(|base| {
                    let last = base.rsplit('.').next().unwrap_or(base);
                    self.class_named(class.file, last)
                })
            })
            .collect();
        self.derived = vec![Vec::new(); self.classes.len()];
        for (class, base) in (0u32..).zip(&self.bases) {
            let below = base.and_then(|base| self.derived.get_mut(base.0 as usize));
            if let Some(below) = below {
                below.push(ClassId(class));
            }
        }
        let ids = (0u32..).take(self.classes.len()).map(ClassId);
        self.module_classes = ids.map(|id| self.derives_from_module(id)).collect();
    }

    fn derives_from_module(&self, class: ClassId) -> bool {
        let mut at = Some(class);
        for _ in 0..16 {
            let Some(class) = at.and_then(|id| self.class(id)) else { return false };
            if class.bases.iter().any(|base| is_module_base(base)) {
                return true;
            }
            at = at.and_then(|id| self.base_of(id));
        }
        false
    }
}

fn is_module_base(base: &str) -> bool {
    let last = base.rsplit('.').next().unwrap_or(base);
    matches!(
        last,
        "Module" | "LightningModule" | "PreTrainedModel" | "Sequential" | "ModelMixin" | "_Loss"
    ) || last.ends_with("PreTrainedModel")
        || (last.ends_with("Decoder") || last.ends_with("Encoder")) && !last.contains("JSON")
}

/// Longer chains of re-exports are not followed.
const DEEPEST_REEXPORT: usize = 8;

/// How many parts the ends of a file's path and of a dotted path share.
fn shared_parts(path: &[u8], module: &[u8]) -> usize {
    let mut parts = 0;
    let mut path = path.iter().rev();
    let mut module = module.iter().rev();
    loop {
        match (path.next(), module.next()) {
            (None | Some(b'/' | b'\\'), None | Some(b'.')) => parts += 1,
            (Some(a), Some(b)) if a == b => continue,
            _ => return parts,
        }
        if path.len() == 0 || module.len() == 0 {
            return parts;
        }
    }
}

/// How much of a module path a file's own path ends with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    Whole,
    Partial,
}

/// Where an imported name is defined.
enum Definition<'s> {
    /// In a given file, under this name.
    In(FileId, &'s str),
    /// In a module that is not given: perhaps the only definition of that name.
    Somewhere(&'s str),
    /// In a library.
    External,
}

/// Libraries whose names mean themselves, unless their own files are given.
const LIBRARIES: [&str; 8] =
    ["torch", "numpy", "transformers", "torchvision", "os", "sys", "collections", "typing"];

/// The library that a module path starts with.
fn library(module: &str) -> Option<&'static str> {
    let first = module.split('.').next().unwrap_or(module);
    LIBRARIES.into_iter().find(|library| *library == first)
}

/// Collects all definitions of all files.
pub(crate) fn index(parsed: &[Parsed], wanted: Wanted) -> Index<'_> {
    let mut index = Index {
        parsed,
        files: Vec::new(),
        functions: Vec::new(),
        classes: Vec::new(),
        by_start: FxHashMap::default(),
        by_method: FxHashMap::default(),
        by_function: FxHashMap::default(),
        by_class: FxHashMap::default(),
        modules: FxHashMap::default(),
        given_libraries: Vec::new(),
        bases: Vec::new(),
        derived: Vec::new(),
        module_classes: Vec::new(),
    };
    for (number, file) in (0u32..).zip(parsed) {
        let file_id = FileId(number);
        index.modules.entry(file.module_name()).or_default().push(file_id);
        for part in file.module_path().split(['/', '\\']) {
            let library = LIBRARIES.into_iter().find(|library| *library == part);
            index.given_libraries.extend(library);
        }
        let module = FunctionId(u32::try_from(index.functions.len()).unwrap_or(u32::MAX));
        // Who looks for defects names the files that are to have none left.
        let is_unit_test = wanted == Wanted::Evidence && holds_unit_tests(&file.path);
        let end = ruff_text_size::TextSize::try_from(file.text.len()).unwrap_or_default();
        index.functions.push(Function {
            file: file_id,
            qualified: "<module>".to_owned(),
            name: "<module>",
            class: None,
            parent: None,
            parameters: None,
            parameter_names: Vec::new(),
            decorators: &[],
            body: &file.body,
            range: TextRange::up_to(end),
            def_start: ruff_text_size::TextSize::default(),
            is_unit_test,
        });
        index.files.push(FileNames {
            imports: collect_imports(&file.body, &file.path),
            first_function: module.0,
            functions: FxHashMap::default(),
            classes: FxHashMap::default(),
            imported: FxHashMap::default(),
        });
        let scope = Scope {
            file: file_id,
            in_unit_test: is_unit_test,
            class: None,
            parent: module,
            prefix: String::new(),
        };
        add_definitions(&mut index, &file.body, &scope);
    }
    index.given_libraries.sort_unstable();
    index.given_libraries.dedup();
    index.resolve_imports();
    index.resolve_bases();
    index
}

fn is_refusal(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Raise(_) | Stmt::Pass(_) => true,
        Stmt::Expr(s) => s.value.is_ellipsis_literal_expr(),
        _ => false,
    }
}

struct Scope {
    file: FileId,
    in_unit_test: bool,
    class: Option<ClassId>,
    parent: FunctionId,
    prefix: String,
}

fn add_definitions<'a>(index: &mut Index<'a>, body: &'a [Stmt], scope: &Scope) {
    for stmt in body {
        match stmt {
            Stmt::FunctionDef(def) => {
                let id = FunctionId(u32::try_from(index.functions.len()).unwrap_or(u32::MAX));
                let name = def.name.as_str();
                let qualified = format!("{}{name}", scope.prefix);
                index.functions.push(Function {
                    file: scope.file,
                    qualified: qualified.clone(),
                    name,
                    class: scope.class,
                    parent: Some(scope.parent),
                    parameters: Some(&def.parameters),
                    parameter_names: numbered(&def.parameters).map(|p| p.name.as_str()).collect(),
                    decorators: &def.decorator_list,
                    body: &def.body,
                    range: def.range(),
                    def_start: def.decorator_list.last().map_or(def.start(), |last| {
                        let text = index.parsed.get(scope.file.0 as usize).map_or("", |f| &f.text);
                        after_white_space(text, last.end())
                    }),
                    is_unit_test: scope.in_unit_test || name.starts_with("test_"),
                });
                index.by_start.insert((scope.file, def.name.start().to_u32()), id);
                if let Some(class) = scope.class {
                    if let Some(class) = index.classes.get_mut(class.0 as usize) {
                        class.methods.insert(name, id);
                    }
                    index.by_method.entry(name).and_modify(|e| *e = None).or_insert(Some(id));
                } else if scope.prefix.is_empty() {
                    index.by_function.entry(name).and_modify(|e| *e = None).or_insert(Some(id));
                    if let Some(names) = index.files.get_mut(scope.file.0 as usize) {
                        names.functions.insert(name, id);
                    }
                }
                let inner = Scope {
                    file: scope.file,
                    in_unit_test: scope.in_unit_test,
                    class: None,
                    parent: id,
                    prefix: format!("{qualified}."),
                };
                add_definitions(index, &def.body, &inner);
            }
            Stmt::ClassDef(def) => {
                let id = ClassId(u32::try_from(index.classes.len()).unwrap_or(u32::MAX));
                let name = def.name.as_str();
                let imports = index.files.get(scope.file.0 as usize).map(|names| &names.imports);
                let bases = def.arguments.iter().flat_map(|arguments| &arguments.args);
                let bases = bases.filter_map(|base| base_path(imports?, base)).collect();
                index.classes.push(Class {
                    file: scope.file,
                    bases,
                    decorators: &def.decorator_list,
                    methods: FxHashMap::default(),
                    statements: def
                        .body
                        .iter()
                        .filter(|s| !matches!(s, Stmt::FunctionDef(_) | Stmt::ClassDef(_)))
                        .collect(),
                });
                index.by_class.entry(name).and_modify(|e| *e = None).or_insert(Some(id));
                if let Some(names) = index.files.get_mut(scope.file.0 as usize) {
                    names.classes.entry(name).or_insert(id);
                }
                let inner = Scope {
                    file: scope.file,
                    in_unit_test: scope.in_unit_test,
                    class: Some(id),
                    parent: scope.parent,
                    prefix: format!("{}{name}.", scope.prefix),
                };
                add_definitions(index, &def.body, &inner);
            }
            _ => for_each_block(stmt, &mut |block| add_definitions(index, block, scope)),
        }
    }
}

fn base_path(imports: &Imports, base: &Expr) -> Option<String> {
    let base = match base {
        Expr::Subscript(subscript) => &*subscript.value,
        other => other,
    };
    imports.resolve(base).or_else(|| crate::imports::dotted(base)).map(Into::into)
}

fn after_white_space(text: &str, from: ruff_text_size::TextSize) -> ruff_text_size::TextSize {
    let rest = text.get(from.to_usize()..).unwrap_or_default();
    // A comment between decorator and `def` is rare; the edit then lands before the comment.
    let skipped = rest.len() - rest.trim_start().len();
    from + ruff_text_size::TextSize::try_from(skipped).unwrap_or_default()
}

/// Calls `visit` with every block of statements directly inside a compound statement.
pub(crate) fn for_each_block<'a>(stmt: &'a Stmt, visit: &mut impl FnMut(&'a [Stmt])) {
    match stmt {
        Stmt::For(s) => {
            visit(&s.body);
            visit(&s.orelse);
        }
        Stmt::While(s) => {
            visit(&s.body);
            visit(&s.orelse);
        }
        Stmt::If(s) => {
            visit(&s.body);
            for clause in &s.elif_else_clauses {
                visit(&clause.body);
            }
        }
        Stmt::With(s) => visit(&s.body),
        Stmt::Try(s) => {
            visit(&s.body);
            for handler in &s.handlers {
                let ruff_python_ast::ExceptHandler::ExceptHandler(handler) = handler;
                visit(&handler.body);
            }
            visit(&s.orelse);
            visit(&s.finalbody);
        }
        Stmt::Match(s) => {
            for case in &s.cases {
                visit(&case.body);
            }
        }
        _ => {}
    }
}
