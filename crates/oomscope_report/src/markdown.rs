//! The diagnosis for an issue or a pull request: GitHub-flavoured Markdown with the same content
//! as the text. Foreign text can neither open HTML nor leave its table, its fence or its line.

use std::io::{self, Write};

use oomscope_model::{Assessment, Diagnosis, Fact, Place, Verdict};

use crate::Charset;
use crate::clean::{clean, clean_lines};
use crate::content::{
    STEPS, asked, bytes_or_unknown, cause_groups, claim_line, claimed, cold_title, fact_figures,
    figure_rows, four_parts, holder_rows, inputs, live, names, percent, unnamed_places,
};
use crate::root::common_folder;

/// Writes `diagnosis` as Markdown.
pub fn render_markdown(diagnosis: &Diagnosis, out: &mut dyn Write) -> io::Result<()> {
    let title = match diagnosis.verdict {
        Verdict::Claimed(cause) => format!("Out of memory: `{cause}`"),
        Verdict::Undecided => "Out of memory: undecided".to_owned(),
        Verdict::Healthy => "No memory problem".to_owned(),
    };
    writeln!(out, "## {title}\n\n**{}**", inline(&diagnosis.headline))?;
    if let Some(assessment) = claimed(diagnosis) {
        writeln!(out, "\n{}", inline(&claim_line(assessment, diagnosis.culprit.live)))?;
    }
    for excerpt in &diagnosis.excerpts {
        write_excerpt(out, excerpt)?;
    }
    let is_healthy = diagnosis.verdict == Verdict::Healthy;
    write_state(out, diagnosis)?;
    if !is_healthy || !diagnosis.culprit.holders.is_empty() {
        write_culprit(out, diagnosis)?;
    }
    if !is_healthy {
        write_causes(out, diagnosis)?;
    }
    write_cold_findings(out, diagnosis)?;
    if !is_healthy {
        write_fixes(out, diagnosis)?;
        write_options(out, diagnosis)?;
        write_verify(out, diagnosis)?;
    }
    write_end(out, diagnosis)
}

fn write_step(out: &mut dyn Write, number: usize) -> io::Result<()> {
    let name = STEPS.get(number.saturating_sub(1)).copied().unwrap_or_default();
    writeln!(out, "\n### {number}. {name}\n")
}

fn write_excerpt(
    out: &mut dyn Write,
    (place, lines): &(Place, Vec<(u32, String)>),
) -> io::Result<()> {
    writeln!(out, "\n{}:\n", code(&place.to_string()))?;
    let numbers = lines.iter().map(|(number, _)| number.to_string().len()).max().unwrap_or(1);
    let lines = lines.iter().map(|(number, line)| {
        let marker = if *number == place.line { '>' } else { ' ' };
        format!("{marker} {number:>numbers$} | {}", clean(line, Charset::Unicode))
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    write_fence(out, "text", &text)
}

fn write_state(out: &mut dyn Write, diagnosis: &Diagnosis) -> io::Result<()> {
    write_step(out, 1)?;
    let state = &diagnosis.state;
    if !diagnosis.inputs.is_empty() {
        writeln!(out, "Read: {}", inline(&inputs(diagnosis)))?;
    }
    if !state.moment.is_empty() {
        writeln!(out, "\nAt {}", inline(&state.moment))?;
    }
    let rows = figure_rows(diagnosis);
    if !rows.is_empty() {
        writeln!(out, "\n| figure | bytes | from |\n|---|---:|---|")?;
    }
    for row in rows {
        let figure = bytes_or_unknown(row.bytes);
        writeln!(out, "| {} | {figure} | {} |", inline(row.name), inline(row.from))?;
    }
    let processes = state.memory_error.iter().flat_map(|error| &error.other_processes);
    let processes: Vec<String> = processes
        .map(|one| format!("process {} holds {}", one.pid, bytes_or_unknown(one.bytes)))
        .collect();
    write_list(out, processes.iter().chain(&state.notes))
}

fn write_culprit(out: &mut dyn Write, diagnosis: &Diagnosis) -> io::Result<()> {
    write_step(out, 2)?;
    let folder = common_folder(diagnosis);
    if diagnosis.verdict != Verdict::Healthy {
        let asked = asked(diagnosis, &folder).unwrap_or_else(|| "unknown".to_owned());
        writeln!(out, "Asked by: {}", inline(&asked))?;
    }
    let live = live(diagnosis);
    let rows = holder_rows(diagnosis, &folder);
    if rows.is_empty() {
        writeln!(out, "\nHeld by: unknown")?;
    } else {
        writeln!(out, "\n| who holds the {live} in use | what | bytes | share |")?;
        writeln!(out, "|---|---|---:|---:|")?;
    }
    for row in rows {
        let label = match row.holder.and_then(|holder| holder.place.as_ref()) {
            Some(_) => code(&row.label),
            None => inline(&row.label),
        };
        writeln!(
            out,
            "| {label} | {} | {} | {} |",
            row.role,
            row.bytes,
            inline(&percent(row.bytes, live))
        )?;
    }
    write_list(out, &diagnosis.culprit.notes)
}

fn write_causes(out: &mut dyn Write, diagnosis: &Diagnosis) -> io::Result<()> {
    write_step(out, 3)?;
    let folder = common_folder(diagnosis);
    let groups = cause_groups(diagnosis);
    if !groups.open.is_empty() {
        writeln!(out, "| cause | confidence | explains |\n|---|---:|---:|")?;
    }
    for one in &groups.open {
        let (confidence, bytes) = (one.confidence, bytes_or_unknown(one.bytes));
        writeln!(out, "| `{}` | {confidence} {} | {bytes} |", one.cause, confidence.word())?;
    }
    for one in &groups.open {
        write_evidence(out, one, &folder)?;
    }
    let closed = [
        ("Unlikely", &groups.unlikely),
        ("Ruled out", &groups.ruled_out),
        ("No evidence", &groups.no_evidence),
    ];
    for (label, group) in closed {
        if !group.is_empty() {
            writeln!(out, "\n{label}: {}.", names(group))?;
        }
    }
    Ok(())
}

fn write_evidence(out: &mut dyn Write, one: &Assessment, folder: &str) -> io::Result<()> {
    let is_bare = one.evidence_for.is_empty() && one.evidence_against.is_empty();
    if is_bare && one.places.is_empty() && one.settle.is_none() {
        return Ok(());
    }
    writeln!(out, "\n`{}`\n", one.cause)?;
    for fact in &one.evidence_for {
        writeln!(out, "- ➕ {}", fact_line(fact, folder))?;
    }
    for fact in &one.evidence_against {
        writeln!(out, "- ➖ {}", fact_line(fact, folder))?;
    }
    if let Some(places) = unnamed_places(one, folder) {
        writeln!(out, "- at {}", inline(&places))?;
    }
    if let Some(settle) = &one.settle {
        writeln!(out, "- would settle it: {}", inline(settle))?;
    }
    Ok(())
}

fn fact_line(fact: &Fact, folder: &str) -> String {
    match fact_figures(fact, folder) {
        Some(figures) => format!("{} {}", inline(&fact.text), inline(&figures)),
        None => inline(&fact.text),
    }
}

fn write_cold_findings(out: &mut dyn Write, diagnosis: &Diagnosis) -> io::Result<()> {
    if diagnosis.cold_findings.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}\n", cold_title(diagnosis.verdict))?;
    let folder = common_folder(diagnosis);
    for fact in &diagnosis.cold_findings {
        writeln!(out, "- {}", fact_line(fact, &folder))?;
    }
    Ok(())
}

fn write_fixes(out: &mut dyn Write, diagnosis: &Diagnosis) -> io::Result<()> {
    write_step(out, 4)?;
    if diagnosis.fixes.is_empty() {
        return writeln!(out, "None.");
    }
    for (index, patch) in diagnosis.fixes.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "**{}**", inline(&patch.title))?;
        if !patch.words.is_empty() {
            writeln!(out, "\n{}", block(&patch.words))?;
        }
        if let Some(diff) = &patch.diff {
            writeln!(out)?;
            write_fence(out, "diff", &clean_lines(diff))?;
        }
    }
    Ok(())
}

fn write_options(out: &mut dyn Write, diagnosis: &Diagnosis) -> io::Result<()> {
    write_step(out, 5)?;
    if diagnosis.options.is_empty() {
        return writeln!(out, "None.");
    }
    writeln!(out, "| option | saves | why | costs |\n|---|---:|---|---|")?;
    for option in &diagnosis.options {
        let saves = bytes_or_unknown(option.saves);
        let (title, why, cost) = (inline(&option.title), inline(&option.why), inline(&option.cost));
        writeln!(out, "| {title} | {saves} | {why} | {cost} |")?;
    }
    Ok(())
}

fn write_verify(out: &mut dyn Write, diagnosis: &Diagnosis) -> io::Result<()> {
    write_step(out, 6)?;
    if diagnosis.verify.is_empty() {
        return writeln!(out, "Nothing to verify yet.");
    }
    for (index, check) in diagnosis.verify.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        write_fence(out, "text", &clean_lines(&check.run))?;
        writeln!(out, "\nExpect: {}", inline(&check.expect))?;
    }
    Ok(())
}

fn write_end(out: &mut dyn Write, diagnosis: &Diagnosis) -> io::Result<()> {
    for (title, text) in four_parts(diagnosis) {
        if !text.is_empty() {
            writeln!(out, "\n### {title}\n\n{}", block(text))?;
        }
    }
    if !diagnosis.escalation.is_empty() {
        let title = match diagnosis.verdict {
            Verdict::Undecided => "Capture next",
            Verdict::Claimed(_) | Verdict::Healthy => "If that does not help",
        };
        writeln!(out, "\n### {title}\n")?;
    }
    for (index, step) in diagnosis.escalation.iter().enumerate() {
        writeln!(out, "{}. {}", index + 1, inline(step))?;
    }
    if !diagnosis.problems.is_empty() {
        writeln!(out, "\n### Not read\n")?;
    }
    for problem in &diagnosis.problems {
        write!(out, "- {}", inline(&problem.to_string()))?;
        match &problem.hint {
            Some(hint) => writeln!(out, " (hint: {})", inline(hint))?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

fn write_list<'a>(
    out: &mut dyn Write,
    items: impl IntoIterator<Item = &'a String>,
) -> io::Result<()> {
    for (index, item) in items.into_iter().enumerate() {
        if index == 0 {
            writeln!(out)?;
        }
        writeln!(out, "- {}", inline(item))?;
    }
    Ok(())
}

/// A fence longer than any run of backticks inside.
fn write_fence(out: &mut dyn Write, language: &str, text: &str) -> io::Result<()> {
    let longest = text.split(|one| one != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    writeln!(out, "{fence}{language}\n{}\n{fence}", text.trim_end_matches('\n'))
}

/// `text` as code on one line, also inside a table.
pub(crate) fn code(text: &str) -> String {
    format!("`{}`", clean(text, Charset::Unicode).replace('`', "'").replace('|', "\\|"))
}

/// Our prose on one line: code between backticks stays code, the rest is escaped.
pub(crate) fn inline(text: &str) -> String {
    let text = clean(text, Charset::Unicode);
    let parts: Vec<&str> = text.split('`').collect();
    let last = parts.len().saturating_sub(1);
    let mut line = String::with_capacity(text.len());
    for (index, part) in parts.iter().enumerate() {
        let is_closed = index < last;
        if index % 2 == 1 && is_closed && !part.is_empty() {
            line.push_str(&code(part));
            continue;
        }
        // A lone backtick is escaped like everything else that Markdown would read.
        if index % 2 == 1 {
            line.push_str("\\`");
        }
        for character in part.chars() {
            match character {
                '<' => line.push_str("&lt;"),
                '&' => line.push_str("&amp;"),
                '|' | '*' | '_' | '[' | ']' | '\\' | '#' => line.extend(['\\', character]),
                _ => line.push(character),
            }
        }
    }
    line
}

/// Our prose with its own line ends; indented lines are code.
fn block(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| match line.strip_prefix("    ") {
        Some(_) => clean(line, Charset::Unicode),
        None => inline(line),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{code, inline, write_fence};

    #[test]
    fn prose_cannot_leave_its_cell_or_open_html() {
        for (text, shown) in [
            ("`a|b` and a|b", "`a\\|b` and a\\|b"),
            ("<img src=x> ![i](http://x)", "&lt;img src=x> !\\[i\\](http://x)"),
            ("one ` alone", "one \\` alone"),
            ("line\n# title", "line \\# title"),
        ] {
            assert_eq!(inline(text), shown);
        }
        assert_eq!(code("a`b|c"), "`a'b\\|c`");
    }

    #[test]
    fn a_fence_cannot_be_closed_from_inside() {
        let mut out = Vec::new();
        write_fence(&mut out, "diff", "+````\n").expect("writing to memory succeeds");
        assert_eq!(String::from_utf8_lossy(&out), "`````diff\n+````\n`````\n");
    }
}
