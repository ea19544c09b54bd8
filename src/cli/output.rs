//! How the commands that look into a history write: tables, colours and a pager on a terminal; plain text
//! with tabs elsewhere.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::{Command, Stdio};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::domain::statement::{self, SyntaxKind};

/// Where the output goes, and so what it looks like.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The terminal's size in characters; `None` where it is no terminal.
    terminal: Option<(u16, u16)>,
    colours: bool,
}

/// The style of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Style {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Blue,
}

impl Output {
    /// Standard output. `NO_COLOR` and `CLICOLOR_FORCE` are heeded.
    pub fn standard() -> Output {
        let is_terminal = io::stdout().is_terminal();
        let size = terminal_size::terminal_size().map(|(width, height)| (width.0, height.0));
        let terminal = is_terminal.then(|| size.unwrap_or((80, 24)));
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let forced = is_set("CLICOLOR_FORCE");
        Output { terminal, colours: !is_set("NO_COLOR") && (is_terminal || forced) }
    }

    /// Whether somebody looks at it.
    pub fn is_terminal(self) -> bool {
        self.terminal.is_some()
    }

    /// A text in a style, where there are colours.
    pub fn styled(self, style: Style, text: &str) -> String {
        if !self.colours {
            return text.to_string();
        }
        let code = match style {
            Style::Bold => 1,
            Style::Dim => 2,
            Style::Red => 31,
            Style::Green => 32,
            Style::Yellow => 33,
            Style::Blue => 34,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A statement laid out, in colours where there are some.
    pub fn statement(self, statement: &str) -> String {
        let format_sql = visible(&statement::format_sql(statement));
        let parts = statement::highlight(&format_sql).map(|(kind, text)| match kind {
            SyntaxKind::Keyword => self.styled(Style::Blue, text),
            SyntaxKind::Function => self.styled(Style::Yellow, text),
            SyntaxKind::Literal => self.styled(Style::Green, text),
            SyntaxKind::Comment => self.styled(Style::Dim, text),
            SyntaxKind::Name | SyntaxKind::Symbol | SyntaxKind::Space => text.to_string(),
        });
        parts.collect()
    }

    /// Rows below their names: a table, of which no line is longer than the terminal is wide; or lines with
    /// tabs, in which a backslash, a tab and a control character are written as in `\t` and `\x1b`.
    pub fn table(self, names: &[&str], rows: &[Vec<String>]) -> String {
        let Some((width, _)) = self.terminal else {
            let line = |cells: &mut dyn Iterator<Item = String>| {
                cells.collect::<Vec<_>>().join("\t") + "\n"
            };
            let mut text = line(&mut names.iter().map(|name| (*name).to_string()));
            for row in rows {
                text.push_str(&line(&mut row.iter().map(|cell| escaped(cell))));
            }
            return text;
        };
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        let mut header = comfy_table::Row::from(names);
        header.max_height(1);
        table.set_header(header);
        for row in rows {
            let cells = row.iter().map(|cell| {
                let line: String = cell.split_whitespace().collect::<Vec<_>>().join(" ");
                // No terminal is wider; what cannot be seen is not laid out.
                visible(&line).chars().take(1000).collect::<String>()
            });
            let mut row = comfy_table::Row::from(cells.collect::<Vec<_>>());
            row.max_height(1);
            table.add_row(row);
        }
        let widths = table.column_max_content_widths();
        for (column, constraint) in table.column_iter_mut().zip(constraints(&widths, width)) {
            column.set_padding((0, 1)).set_constraint(constraint);
        }
        let mut lines = table.lines();
        let mut text = self.styled(Style::Bold, lines.next().unwrap_or_default().trim_end());
        for line in lines {
            text.push('\n');
            text.push_str(line.trim_end());
        }
        text + "\n"
    }

    /// Writes a text, through a pager where it is longer than the terminal is high. Whoever stops reading
    /// ends it quietly.
    pub fn write(self, text: &str) -> io::Result<()> {
        let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".to_string());
        let long = self.terminal.is_some_and(|(_, height)| text.lines().count() >= height.into());
        if long && !pager.is_empty() && pager != "cat" {
            let mut command = Command::new("sh");
            command.args(["-c", &pager]).stdin(Stdio::piped());
            if std::env::var_os("LESS").is_none() {
                command.env("LESS", "FRX");
            }
            if let Ok(mut child) = command.spawn() {
                let written = match child.stdin.take() {
                    Some(mut input) => input.write_all(text.as_bytes()),
                    None => Ok(()),
                };
                child.wait()?;
                return quiet(written);
            }
        }
        write_bytes(text.as_bytes())
    }

    /// Writes a value as JSON.
    pub fn json(self, value: &impl serde::Serialize) -> io::Result<()> {
        let mut text = match self.is_terminal() {
            true => serde_json::to_string_pretty(value)?,
            false => serde_json::to_string(value)?,
        };
        text.push('\n');
        // JSON leaves the control characters beyond ASCII as they are.
        write_bytes(text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}").as_bytes())
    }
}

/// How wide the columns of a table are, so that it fits: the last, which is the longest (a statement, a
/// name), is cut, and of the others those are left out for which there is no room. The first, which says
/// what a row is of, is always shown.
fn constraints(widths: &[u16], width: u16) -> Vec<ColumnConstraint> {
    const LAST: u16 = 14;
    const PADDING: u16 = 1;
    let Some((last, others)) = widths.split_last() else { return Vec::new() };
    let mut room = width.saturating_sub(LAST.min(last + PADDING));
    let mut taken = 0;
    let mut constraints = Vec::with_capacity(widths.len());
    for wanted in others.iter().map(|content| content.saturating_add(PADDING)) {
        let is_first = constraints.is_empty();
        if wanted <= room {
            room -= wanted;
            taken += wanted;
            constraints.push(ColumnConstraint::ContentWidth);
        } else if is_first {
            room = 0;
            taken = wanted.min(width);
            constraints.push(ColumnConstraint::Absolute(Width::Fixed(taken)));
        } else {
            constraints.push(ColumnConstraint::Hidden);
        }
    }
    let left = width.saturating_sub(taken).min(last.saturating_add(PADDING));
    constraints.push(match left {
        0..=PADDING => ColumnConstraint::Hidden,
        left => ColumnConstraint::Absolute(Width::Fixed(left)),
    });
    constraints
}

/// Writes bytes as they are.
pub fn write_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    quiet(output.write_all(bytes).and_then(|()| output.flush()))
}

/// Says what was done. That nobody reads it any more, or that it cannot be written, undoes nothing of it.
pub fn say(what: impl Display) {
    match writeln!(io::stdout(), "{what}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("annals: standard output cannot be written to: {error}");
        }
        _ => {}
    }
}

/// Whether somebody may still read what is written: not, where it goes into a pipe whose reader has gone.
pub fn is_read() -> bool {
    let output = io::stdout();
    let mut looked = [PollFd::new(&output, PollFlags::empty())];
    let at_once = Timespec::default();
    let found = poll(&mut looked, Some(&at_once));
    !(found.is_ok() && looked[0].revents().contains(PollFlags::ERR))
}

/// That nobody reads any more is no error.
fn quiet(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        written => written,
    }
}

/// Whether a character tells a terminal to do something, or changes the order of what is shown.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text with what would control the terminal made visible; lines and tabs stay.
pub fn visible(text: &str) -> String {
    let replaced = |c: char| match c {
        '\n' | '\t' => c,
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        c if is_control(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(replaced).collect()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            c if is_control(c) => escaped.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}
