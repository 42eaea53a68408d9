//! The folder that all recorded paths share: said once, left out of every table.

use oomscope_model::{Diagnosis, Fact, Place};

/// The deepest folder, with its last separator, that holds every absolute path of `diagnosis`;
/// empty when there is none below the root of the file system.
pub(crate) fn common_folder(diagnosis: &Diagnosis) -> String {
    let culprit = &diagnosis.culprit;
    let holders = culprit.holders.iter().flat_map(|one| one.place.iter().chain(&one.callers));
    let facts = |facts: &'_ [Fact]| facts.iter().filter_map(|fact| fact.place.clone()).collect();
    let in_causes = diagnosis.causes.iter().flat_map(|one| {
        let mut places: Vec<Place> = facts(&one.evidence_for);
        let against: Vec<Place> = facts(&one.evidence_against);
        places.extend(against);
        places.extend(one.places.iter().cloned());
        places
    });
    let cold: Vec<Place> = facts(&diagnosis.cold_findings);
    let places: Vec<Place> =
        culprit.asked.iter().chain(holders).cloned().chain(in_causes).chain(cold).collect();
    folder_of_all(places.iter().map(|place| place.file.as_str())).to_owned()
}

/// The deepest folder that holds every absolute path of `files`; empty as above.
pub(crate) fn folder_of_all<'f>(files: impl Iterator<Item = &'f str>) -> &'f str {
    let folder = files.filter_map(folder_of).reduce(|all, own| shared(all, own));
    // "/" or "C:\" alone says nothing and would make every path look relative.
    folder.filter(|folder| folder.matches(SEPARATORS).count() > 1).unwrap_or_default()
}

/// `place` below `folder`.
pub(crate) fn below(folder: &str, place: &Place) -> String {
    let file = place.file.strip_prefix(folder).unwrap_or(&place.file);
    format!("{file}:{}", place.line)
}

const SEPARATORS: [char; 2] = ['/', '\\'];

/// The folder of an absolute path, its last separator included.
fn folder_of(file: &str) -> Option<&str> {
    let is_absolute = file.starts_with('/')
        || file.starts_with("\\\\")
        || file.get(1..3).is_some_and(|drive| drive == ":\\" || drive == ":/");
    if !is_absolute {
        return None;
    }
    file.get(..=file.rfind(SEPARATORS)?)
}

/// The part of `left` up to the last separator before which both agree.
fn shared<'a>(left: &'a str, right: &str) -> &'a str {
    let mut end = 0;
    for ((index, mine), theirs) in left.char_indices().zip(right.chars()) {
        if mine != theirs {
            break;
        }
        if SEPARATORS.contains(&mine) {
            end = index + 1;
        }
    }
    left.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{folder_of, shared};

    #[test]
    fn folders_are_shared_up_to_a_separator() {
        assert_eq!(shared("/run/src/models/", "/run/src/main/"), "/run/src/");
        assert_eq!(shared("/a/", "/b/"), "/");
        assert_eq!(shared("C:\\x\\y\\", "C:\\x\\"), "C:\\x\\");
    }

    #[test]
    fn only_absolute_paths_have_a_folder_to_share() {
        assert_eq!(folder_of("/a/b.py"), Some("/a/"));
        assert_eq!(folder_of("D:/a/b.py"), Some("D:/a/"));
        assert_eq!(folder_of("src/b.py"), None);
        assert_eq!(folder_of("<ipython-input-3-ab>"), None);
    }
}
