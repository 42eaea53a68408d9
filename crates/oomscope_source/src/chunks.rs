//! Which files are analysed together: those that import each other, up to a size.
//!
//! What is too large to be held at once is split where its folders lie furthest apart: a call
//! across a split is a call of something unknown. Works on text alone, before anything is parsed.

use rustc_hash::FxHashMap;

use crate::InputFile;
use crate::parse::module_path;

/// Text that is analysed together, in bytes: trees and facts take about fourteen times as much.
const LARGEST_CHUNK: usize = 4 << 20;

/// Indices of `files`, in groups; each group in the order given.
pub(crate) fn chunks(files: &[InputFile]) -> Vec<Vec<usize>> {
    if files.iter().map(|file| file.text.len()).sum::<usize>() <= LARGEST_CHUNK {
        return vec![(0..files.len()).collect()];
    }
    let modules = Modules::of(files);
    let mut edges: Vec<(usize, usize, usize)> = Vec::new();
    for (from, file) in files.iter().enumerate() {
        let mut targets = Vec::new();
        imported(&file.text, &mut |level, module, name| {
            targets.extend(modules.resolve(&file.path, level, module, name));
        });
        targets.sort_unstable();
        targets.dedup();
        edges.extend(targets.into_iter().filter(|to| *to != from).map(|to| {
            let other = files.get(to).map_or("", |file| file.path.as_str());
            (distance(&file.path, other), from, to)
        }));
    }
    edges.sort_unstable();
    let mut groups = Groups::new(files.iter().map(|file| file.text.len()).collect());
    for (_, from, to) in edges {
        groups.join(from, to);
    }
    groups.members()
}

/// How many folders lie between two files.
fn distance(one: &str, other: &str) -> usize {
    let parts = |path: &str| path.matches(SEPARATORS).count();
    let shared = one.split(SEPARATORS).zip(other.split(SEPARATORS)).take_while(|(a, b)| a == b);
    (parts(one) + parts(other)).saturating_sub(2 * shared.count())
}

const SEPARATORS: [char; 2] = ['/', '\\'];

/// Calls `found` with dots, module and name of every `import` line of a text.
fn imported<'t>(text: &'t str, found: &mut impl FnMut(usize, &'t str, Option<&'t str>)) {
    let mut after = 0;
    for at in memchr::memmem::find_iter(text.as_bytes(), b"import") {
        if at < after {
            continue; // a line's second
        }
        let rest = text.get(at..).unwrap_or_default();
        let end = at + memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        let before = text.get(..at).unwrap_or_default();
        let start = memchr::memrchr(b'\n', before.as_bytes()).map_or(0, |newline| newline + 1);
        after = end;
        let line = text.get(start..end).unwrap_or_default().trim();
        if let Some(rest) = line.strip_prefix("from ") {
            let Some((module, names)) = rest.split_once(" import") else { continue };
            let module = module.trim();
            let bare = module.trim_start_matches('.');
            let level = module.len() - bare.len();
            found(level, bare, None);
            for name in names.split([',', '(', ')']).filter_map(|n| n.split_whitespace().next()) {
                found(level, bare, Some(name));
            }
        } else if let Some(rest) = line.strip_prefix("import ") {
            for module in rest.split(',').filter_map(|part| part.split_whitespace().next()) {
                found(0, module, None);
            }
        }
    }
}

/// The given files by what an import may call them.
struct Modules<'f> {
    by_path: FxHashMap<&'f str, usize>,
    by_last: FxHashMap<&'f str, Vec<usize>>,
    paths: Vec<&'f str>,
}

impl<'f> Modules<'f> {
    fn of(files: &'f [InputFile]) -> Modules<'f> {
        let paths: Vec<&str> = files.iter().map(|file| module_path(&file.path)).collect();
        let mut by_last: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
        for (number, path) in paths.iter().enumerate() {
            by_last.entry(path.rsplit(SEPARATORS).next().unwrap_or(path)).or_default().push(number);
        }
        let by_path = paths.iter().enumerate().map(|(number, path)| (*path, number)).collect();
        Modules { by_path, by_last, paths }
    }

    fn resolve(&self, from: &str, level: usize, module: &str, name: Option<&str>) -> Option<usize> {
        if level > 0 {
            let folder = from.rsplitn(level + 1, SEPARATORS).nth(level)?;
            let mut path = folder.to_owned();
            for part in module.split('.').chain(name).filter(|part| !part.is_empty()) {
                path.push('/');
                path.push_str(part);
            }
            return self.by_path.get(path.as_str()).copied();
        }
        // Names of functions and classes are no files: only short modules pay the search.
        let last = name.unwrap_or_else(|| module.rsplit('.').next().unwrap_or(module));
        let candidates = self.by_last.get(last)?;
        let parts = || name.into_iter().chain(module.rsplit('.'));
        let count = parts().count();
        let is_whole = |number: &&usize| {
            let path = self.paths.get(**number).copied().unwrap_or_default();
            path.rsplit(SEPARATORS).zip(parts()).take_while(|(a, b)| a == b).count() == count
        };
        let near = |number: &&usize| {
            let path = self.paths.get(**number).copied().unwrap_or_default();
            distance(from, path)
        };
        candidates.iter().filter(is_whole).min_by_key(near).copied()
    }
}

/// Disjoint sets with sizes.
struct Groups {
    parent: Vec<usize>,
    size: Vec<usize>,
}

impl Groups {
    fn new(size: Vec<usize>) -> Groups {
        Groups { parent: (0..size.len()).collect(), size }
    }

    fn root(&mut self, of: usize) -> usize {
        let mut at = of;
        while let Some(&up) = self.parent.get(at)
            && up != at
        {
            let above = self.parent.get(up).copied().unwrap_or(up);
            if let Some(parent) = self.parent.get_mut(at) {
                *parent = above;
            }
            at = above;
        }
        at
    }

    /// Joins two sets unless they would be too large together.
    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        let size = |of: usize| self.size.get(of).copied().unwrap_or_default();
        let together = size(one).saturating_add(size(other));
        if one == other || together > LARGEST_CHUNK {
            return;
        }
        let (low, high) = (one.min(other), one.max(other));
        if let (Some(parent), Some(size)) = (self.parent.get_mut(high), self.size.get_mut(low)) {
            (*parent, *size) = (low, together);
        }
    }

    fn members(mut self) -> Vec<Vec<usize>> {
        let mut members: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
        for number in 0..self.parent.len() {
            let root = self.root(number);
            members.entry(root).or_default().push(number);
        }
        let mut groups: Vec<Vec<usize>> = members.into_values().collect();
        groups.sort_unstable();
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGEST_CHUNK, chunks};
    use crate::InputFile;

    fn file(path: &str, text: &str, size: usize) -> InputFile {
        let filler = "#".repeat(size.saturating_sub(text.len() + 1));
        InputFile { path: path.to_owned(), text: format!("{text}\n{filler}") }
    }

    #[test]
    fn a_small_project_stays_together_whatever_it_imports() {
        let files = [file("a.py", "", 10), file("b/c.py", "", 10)];
        assert_eq!(chunks(&files), [vec![0, 1]]);
    }

    #[test]
    fn a_large_one_is_split_between_far_folders_first() {
        let third = LARGEST_CHUNK / 3;
        let files = [
            file("p/one/a.py", "from . import b\nfrom ..two import c", third),
            file("p/one/b.py", "", third),
            file("p/two/c.py", "import p.two.d as d", third),
            file("p/two/d.py", "", third),
        ];
        assert_eq!(chunks(&files), [vec![0, 1], vec![2, 3]]);
    }
}
