//! Notebooks: which cell a line of the joined code lies in, and new code written back into the
//! cells. All else in the file stays byte for byte as it was.

use ruff_notebook::Notebook;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The first line of a code cell in the joined code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellStart {
    /// 1-based number of the cell among all cells, as notebooks show them.
    pub cell: u32,
    /// 1-based line of the joined code.
    pub line: u32,
}

/// Whether a path names a notebook.
pub fn is_notebook(path: &str) -> bool {
    crate::parse::is_notebook(path)
}

/// The code of a notebook's cells, joined; `None` where it is no notebook.
pub fn code(json: &str) -> Option<String> {
    Notebook::from_source_code(json).ok().map(|notebook| notebook.source_code().to_owned())
}

/// The code cells of a notebook's JSON; none where it is no notebook.
pub fn cells(json: &str) -> Vec<CellStart> {
    let Ok(notebook) = Notebook::from_source_code(json) else { return Vec::new() };
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    notebook
        .index()
        .iter()
        .map(|start| CellStart {
            cell: number(start.cell_index().get()),
            line: number(start.start_row().get()),
        })
        .collect()
}

/// Where a line of the joined code lies: its cell and the line in that cell, both 1-based.
pub fn place(cells: &[CellStart], line: u32) -> Option<(u32, u32)> {
    let index = cells.partition_point(|start| start.line <= line).checked_sub(1)?;
    let start = cells.get(index)?;
    Some((start.cell, line - start.line + 1))
}

/// A notebook's JSON and the code of its cells, joined.
pub struct Cells {
    json: String,
    /// Byte ranges in the joined code, without the line end that joins, and cell indices.
    ranges: Vec<(usize, usize, usize)>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    cells: Vec<RawCell<'a>>,
}

#[derive(Deserialize)]
struct RawCell<'a> {
    #[serde(borrow)]
    source: &'a RawValue,
}

/// Splits the joined code of a notebook at its cells.
pub fn split(json: &str) -> Option<Cells> {
    let notebook = Notebook::from_source_code(json).ok()?;
    let offsets = notebook.cell_offsets();
    let ranges = notebook
        .index()
        .iter()
        .zip(offsets.iter().zip(offsets.iter().skip(1)))
        .map(|(start, (from, to))| {
            (from.to_usize(), to.to_usize().saturating_sub(1), start.cell_index().to_zero_indexed())
        })
        .collect();
    Some(Cells { json: json.to_owned(), ranges })
}

impl Cells {
    /// The number of the cell (1-based) that a range of the joined code lies in wholly.
    pub fn cell_of(&self, start: usize, end: usize) -> Option<usize> {
        let inside = self.ranges.iter().find(|(from, to, _)| *from <= start && end <= *to);
        inside.map(|(_, _, cell)| cell + 1)
    }

    /// The notebook's JSON with these edits of the joined code; `None` where one does not lie in
    /// one cell, or does not fit.
    pub fn rewrite(&self, joined: &str, edits: &[oomscope_model::Edit]) -> Option<String> {
        if edits.iter().any(|edit| self.cell_of(edit.start, edit.end).is_none()) {
            return None;
        }
        let raw: Raw<'_> = serde_json::from_str(&self.json).ok()?;
        let mut replaced = Vec::new();
        for (from, to, cell) in &self.ranges {
            let own: Vec<oomscope_model::Edit> = edits
                .iter()
                .filter(|edit| *from <= edit.start && edit.end <= *to)
                .map(|edit| oomscope_model::Edit {
                    start: edit.start - from,
                    end: edit.end - from,
                    text: edit.text.clone(),
                })
                .collect();
            if own.is_empty() {
                continue;
            }
            let code = crate::apply::apply(joined.get(*from..*to)?, &own)?;
            let source = raw.cells.get(*cell)?.source.get();
            let start = (source.as_ptr() as usize).checked_sub(self.json.as_ptr() as usize)?;
            let end = start + source.len();
            replaced.push(oomscope_model::Edit { start, end, text: written_like(source, &code)? });
        }
        crate::apply::apply(&self.json, &replaced)
    }
}

/// The code as JSON, laid out as the cell's source was: one string, or a list of lines.
fn written_like(source: &str, code: &str) -> Option<String> {
    let Some(inside) = source.strip_prefix('[') else { return string(code, source.is_ascii()) };
    let lead = inside.get(..inside.len() - inside.trim_start().len())?;
    let trimmed = inside.strip_suffix(']')?;
    let tail = trimmed.get(trimmed.trim_end().len()..)?;
    let lines: Option<Vec<String>> =
        code.split_inclusive('\n').map(|line| string(line, source.is_ascii())).collect();
    let gap = if lead.is_empty() { " " } else { lead };
    Some(format!("[{lead}{}{tail}]", lines?.join(&format!(",{gap}"))))
}

/// A JSON string; characters beyond ASCII are escaped where the source's were.
fn string(text: &str, ascii: bool) -> Option<String> {
    use std::fmt::Write;
    let written = serde_json::to_string(text).ok()?;
    if !ascii {
        return Some(written);
    }
    let mut escaped = String::with_capacity(written.len());
    for character in written.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(escaped, "\\u{unit:04x}").ok()?;
        }
    }
    Some(escaped)
}

#[cfg(test)]
mod tests {
    use oomscope_model::Edit;

    use super::{cells, place, split};

    const NOTEBOOK: &str = "{\n \"cells\": [\n  {\"cell_type\": \"markdown\", \"metadata\": {}, \
        \"source\": [\"# t\"]},\n  {\"cell_type\": \"code\", \"metadata\": {},\"outputs\": [ 1.50 ],\n   \
        \"execution_count\": null, \"source\": [\n    \"x = 1\\n\",\n    \"y = 2\"\n   ]},\n  \
        {\"cell_type\": \"code\", \"metadata\": {}, \"outputs\": [], \"execution_count\": 1,\n   \
        \"source\": \"z = '\\u00e9'\"}\n ],\n \"metadata\": {}, \"nbformat\": 4, \"nbformat_minor\": 2\n}\n";

    #[test]
    fn lines_are_found_in_their_cells() {
        let cells = cells(&NOTEBOOK.replace("[ 1.50 ]", "[]"));
        assert_eq!(place(&cells, 1), Some((2, 1)));
        assert_eq!(place(&cells, 2), Some((2, 2)));
        assert_eq!(place(&cells, 3), Some((3, 1)));
    }

    #[test]
    fn edits_change_their_cell_and_nothing_else() {
        let json = NOTEBOOK.replace("[ 1.50 ]", "[]");
        let joined = "x = 1\ny = 2\nz = 'é'\n";
        let split = split(&json).expect("it is a notebook");
        let edit = |start, end, text: &str| Edit { start, end, text: text.to_owned() };
        let changed = split.rewrite(joined, &[edit(6, 6, "w = 'ü'\n"), edit(12, 13, "zz")]);
        let expected = json
            .replace("\"y = 2\"", "\"w = '\\u00fc'\\n\",\n    \"y = 2\"")
            .replace("\"z = ", "\"zz = ");
        assert_eq!(changed, Some(expected));
        // The line end that joins two cells is in neither.
        assert_eq!(split.rewrite(joined, &[edit(11, 12, "")]), None);
        assert_eq!(split.rewrite(joined, &[]), Some(json));
    }
}
