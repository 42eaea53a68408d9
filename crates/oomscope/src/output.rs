//! Where results and talk go: standard output or a file, colours, errors with causes and hints.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use oomscope_report::{Charset, Colour, Detail, TextStyle};

use crate::cli::ColorChoice;

/// How text is printed to where it goes.
pub(crate) fn style(
    color: ColorChoice,
    to_file: bool,
    detail: Detail,
    charset: Charset,
) -> TextStyle {
    let terminal = !to_file && io::stdout().is_terminal();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let wanted = match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal && !no_color,
    };
    // Explained text and pipes are laid out for 80 columns.
    let terminal_width = terminal_size::terminal_size().filter(|_| terminal);
    let width = terminal_width.map_or(80, |(width, _)| usize::from(width.0));
    let colour = if wanted { Colour::Always } else { Colour::Never };
    TextStyle { colour, width, charset, detail }
}

/// How text is printed among the talk.
pub(crate) fn style_of_talk(color: ColorChoice) -> TextStyle {
    let is_terminal = io::stderr().is_terminal();
    let to_file = !is_terminal || !io::stdout().is_terminal();
    let color = match color {
        ColorChoice::Auto if !is_terminal => ColorChoice::Never,
        given => given,
    };
    style(color, to_file, Detail::Full, Charset::Unicode)
}

/// A text among the talk, to standard error.
pub(crate) fn talk(text: &[u8]) {
    let _ = io::stderr().write_all(text);
}

/// Writes a result to standard output or, atomically, to a file.
pub(crate) fn deliver(
    file: Option<&Path>,
    replace: Replace,
    render: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
) -> Result<()> {
    let Some(path) = file else {
        let mut out = io::BufWriter::new(io::stdout());
        render(&mut out)?;
        out.flush()?;
        return Ok(());
    };
    // A device or a pipe is written to, never replaced.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        let file = std::fs::OpenOptions::new().write(true).open(path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        let mut out = io::BufWriter::new(file);
        let written = render(&mut out).and_then(|()| out.flush());
        return written.with_context(|| format!("cannot write {}", path.display()));
    }
    may_write(path, replace)?;
    // What a link points to is replaced, not the link.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = target.as_path();
    // A rename replaces the file in one step: a crash leaves the old one or the new one.
    let name =
        path.file_name().with_context(|| format!("{} is not a file name", path.display()))?;
    let mut draft = name.to_owned();
    draft.push(format!(".{}.tmp", std::process::id()));
    let draft = path.with_file_name(draft);
    let written = (|| -> Result<()> {
        let mut out = io::BufWriter::new(std::fs::File::create(&draft)?);
        render(&mut out)?;
        out.into_inner()?.sync_all()?;
        std::fs::rename(&draft, path)?;
        Ok(())
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Whether a result may go to `path`.
pub(crate) fn may_write(path: &Path, replace: Replace) -> Result<()> {
    if path.is_dir() {
        bail!("{} is a folder; name a file in it", path.display());
    }
    if replace == Replace::Refuse && path.exists() {
        bail!("{} exists; pass `--force` to replace it", path.display());
    }
    Ok(())
}

/// Refuses an output that is one of the inputs: reading it again would read the result.
pub(crate) fn refuse_inputs<'i>(
    output: Option<&Path>,
    inputs: impl IntoIterator<Item = &'i String>,
) -> Result<()> {
    let Some(output) = output.and_then(|path| path.canonicalize().ok()) else { return Ok(()) };
    let is_output = |input: &&String| {
        let input = Path::new(input.as_str()).canonicalize();
        output.is_file() && input.is_ok_and(|input| input == output)
    };
    match inputs.into_iter().find(is_output) {
        Some(input) => bail!("{input} is the input itself; name another file with `-o`"),
        None => Ok(()),
    }
}

/// What to do with a file that exists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    Allow,
    Refuse,
}

/// One line of talk, to standard error.
pub(crate) fn say(line: &str) {
    // Names of files and keys come from outside.
    let _ = writeln!(anstream::stderr(), "{}", oomscope_report::check::harmless(line));
}

/// `error:`, its causes, each on its line.
pub(crate) fn print_error(error: &anyhow::Error) {
    say(&format!("error: {error}"));
    for cause in error.chain().skip(1) {
        say(&format!("  cause: {cause}"));
    }
}

/// Whether the reader of our output went away, as `head` does: not an error.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    // Writers of tables wrap the error once more, out of sight of `source`.
    let is_it = |error: &io::Error| {
        let inner = error.get_ref().map(ToString::to_string).unwrap_or_default();
        error.kind() == io::ErrorKind::BrokenPipe || inner.contains("Broken pipe")
    };
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_it))
}
