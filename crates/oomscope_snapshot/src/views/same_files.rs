//! Which files of two recordings are the same code when their roots lie on different machines.

use oomscope_model::{Frame, FrameOrigin};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::Stacks;

/// More files of one name than this are not told apart by their folders.
const MOST_NAMESAKES: usize = 64;

/// New names for files of `old`: those of the files of `new` that they are.
///
/// Installed packages are the same below their `site-packages`. A file of the user's that both
/// know by one path is itself; if they share none, the files of one side are matched with those
/// of the other that have the longest common tail, where that is mutual and no other is as good.
pub(super) fn same_files(old: &Stacks, new: &Stacks) -> FxHashMap<String, String> {
    let (old, new) = (Files::of(old), Files::of(new));
    let mut same = FxHashMap::default();
    let installed: FxHashMap<&str, &str> =
        new.library.iter().filter_map(|&file| Some((installed_tail(file)?, file))).collect();
    for &file in old.library.iter().filter(|file| !new.library.contains(*file)) {
        if let Some(&other) = installed_tail(file).and_then(|tail| installed.get(tail)) {
            same.insert(file.to_owned(), other.to_owned());
        }
    }
    if old.user.is_disjoint(&new.user) {
        let (forth, back) = (best(&old.user, &new.user), best(&new.user, &old.user));
        for (file, other) in forth {
            if back.get(other) == Some(&file) {
                same.insert(file.to_owned(), other.to_owned());
            }
        }
    }
    same
}

struct Files<'s> {
    user: FxHashSet<&'s str>,
    library: FxHashSet<&'s str>,
}

impl<'s> Files<'s> {
    fn of(stacks: &'s Stacks) -> Files<'s> {
        let mut files = Files { user: FxHashSet::default(), library: FxHashSet::default() };
        for frame in stacks.frames() {
            let Frame { file, .. } = frame;
            match frame.origin() {
                FrameOrigin::User => files.user.insert(file),
                FrameOrigin::Library => files.library.insert(file),
                FrameOrigin::Native => false,
            };
        }
        files
    }
}

/// The path below the folder that packages are installed in.
fn installed_tail(file: &str) -> Option<&str> {
    let below = |part: &str| file.rfind(part).and_then(|at| file.get(at + part.len()..));
    below("/site-packages/").or_else(|| below("/dist-packages/")).or_else(|| {
        let (_, tail) = below("/lib/python")?.split_once('/')?;
        Some(tail)
    })
}

/// For each file the one of `others` with the longest common tail, where there is one such.
fn best<'a>(
    files: &FxHashSet<&'a str>,
    others: &FxHashSet<&'a str>,
) -> FxHashMap<&'a str, &'a str> {
    let mut namesakes: FxHashMap<&str, Vec<&'a str>> = FxHashMap::default();
    for &other in others {
        namesakes.entry(name(other)).or_default().push(other);
    }
    let mut best = FxHashMap::default();
    for &file in files {
        let Some(known) = namesakes.get(name(file)) else { continue };
        if known.len() > MOST_NAMESAKES {
            continue;
        }
        let mut ranked: Vec<(usize, &str)> =
            known.iter().map(|&other| (shared_tail(file, other), other)).collect();
        ranked.sort_unstable();
        match ranked.as_slice() {
            [.., (second, _), (first, _)] if second == first => {}
            [.., (_, other)] => {
                best.insert(file, *other);
            }
            [] => {}
        }
    }
    best
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.rsplit(['/', '\\']).filter(|part| !part.is_empty() && *part != ".")
}

fn name(path: &str) -> &str {
    components(path).next().unwrap_or(path)
}

fn shared_tail(left: &str, right: &str) -> usize {
    components(left).zip(components(right)).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::same_files;
    use crate::stacks::StackInterner;

    fn stacks(files: &[&str]) -> crate::Stacks {
        let mut interner = StackInterner::for_input_of(0);
        for file in files {
            interner.frame(file, "f", 1).expect("room");
        }
        interner.finish()
    }

    #[test]
    fn files_that_differ_in_their_root_alone_are_the_same() {
        let old = stacks(&[
            "/home/ann/run/train.py",
            "/home/ann/run/a/net.py",
            "/home/ann/run/b/net.py",
            "/usr/lib/python3.10/site-packages/torch/nn/modules/linear.py",
        ]);
        let new = stacks(&[
            "/srv/job7/train.py",
            "/srv/job7/a/net.py",
            "/srv/job7/b/net.py",
            "/opt/venv/lib/python3.12/site-packages/torch/nn/modules/linear.py",
        ]);
        let same = same_files(&old, &new);
        assert_eq!(same["/home/ann/run/train.py"], "/srv/job7/train.py");
        assert_eq!(same["/home/ann/run/a/net.py"], "/srv/job7/a/net.py");
        assert_eq!(same["/home/ann/run/b/net.py"], "/srv/job7/b/net.py");
        assert_eq!(same.len(), 4);
    }

    #[test]
    fn files_of_one_machine_are_told_apart() {
        let old = stacks(&["/run/train.py", "/run/a/net.py"]);
        let new = stacks(&["/run/train.py", "/run/b/net.py"]);
        assert!(same_files(&old, &new).is_empty());
    }

    #[test]
    fn what_could_be_two_files_is_none() {
        let old = stacks(&["/x/net.py"]);
        let new = stacks(&["/y/a/net.py", "/y/b/net.py"]);
        assert!(same_files(&old, &new).is_empty());
    }
}
