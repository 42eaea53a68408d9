//! How text may look: colour, width, charset and how much of it. The caller decides; nothing
//! here asks the terminal or the environment.

/// Whether escape sequences are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Colours and weights are written.
    Always,
    /// Not one escape sequence is written.
    Never,
}

/// Which characters may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Rules, blocks and arrows from Unicode.
    Unicode,
    /// ASCII only; what has no ASCII likeness is escaped, as in `\u{4e2d}`.
    Ascii,
}

/// How much of the diagnosis is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The verdict, the source line, the first fix and the four parts.
    Brief,
    /// All six steps.
    Full,
}

/// How text may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextStyle {
    /// Whether escape sequences are written.
    pub colour: Colour,
    /// Columns of the terminal; taken as [`TextStyle::NARROWEST`] to [`TextStyle::WIDEST`].
    pub width: usize,
    /// Which characters may be written.
    pub charset: Charset,
    /// How much is written.
    pub detail: Detail,
}

impl TextStyle {
    /// Tables need this many columns; a narrower terminal wraps by itself.
    pub const NARROWEST: usize = 60;
    /// Longer lines are tiring to read, so wider terminals are not filled.
    pub const WIDEST: usize = 120;

    /// The columns that lines are laid out for.
    pub(crate) fn columns(self) -> usize {
        self.width.clamp(Self::NARROWEST, Self::WIDEST)
    }
}

/// What a pipe or a file gets: no colour, 80 columns, Unicode, everything.
impl Default for TextStyle {
    fn default() -> TextStyle {
        TextStyle {
            colour: Colour::Never,
            width: 80,
            charset: Charset::Unicode,
            detail: Detail::Full,
        }
    }
}
