//! How commands write: tables, colours and a pager on a terminal; plain text with tabs elsewhere.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::{Command, Stdio};

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use anyhow::Context;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::domain::account::is_control;
use crate::domain::readable::{readable_bytes, readable_count, readable_duration_ms};
use crate::domain::statement::{self, SyntaxKind};

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const BLUE: Style = AnsiColor::Blue.on_default();

/// Whether to write colours to a stream: to a terminal that has them, unless `NO_COLOR` is set; anywhere if
/// `CLICOLOR_FORCE` is set.
pub fn has_colours(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// Standard output, as a terminal or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// The width and height of the terminal in characters, or `None` if this is no terminal.
    terminal: Option<(u16, u16)>,
    has_colours: bool,
}

impl Output {
    pub(super) fn standard() -> Output {
        let size = terminal_size::terminal_size().map(|(width, height)| (width.0, height.0));
        let terminal = io::stdout().is_terminal().then(|| size.unwrap_or((80, 24)));
        Output { terminal, has_colours: has_colours(&io::stdout()) }
    }

    pub(super) fn is_terminal(self) -> bool {
        self.terminal.is_some()
    }

    /// Returns a count, on a terminal as people read it.
    pub(super) fn count(self, count: u64) -> String {
        match i64::try_from(count) {
            Ok(count) if self.is_terminal() => readable_count(count),
            _ => count.to_string(),
        }
    }

    /// Returns the text in a style if there are colours.
    pub(super) fn styled(self, style: Style, text: &str) -> String {
        if self.has_colours { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// Returns a statement formatted, and in colours if there are some.
    pub(super) fn statement(self, statement: &str) -> String {
        let formatted = visible(&statement::format_sql(statement));
        let parts = statement::highlight(&formatted).map(|(kind, text)| match kind {
            SyntaxKind::Keyword => self.styled(BLUE, text),
            SyntaxKind::Function => self.styled(YELLOW, text),
            SyntaxKind::Literal => self.styled(GREEN, text),
            SyntaxKind::Comment => self.styled(DIM, text),
            SyntaxKind::Name | SyntaxKind::Symbol | SyntaxKind::Space => text.to_string(),
        });
        parts.collect()
    }

    /// Returns a text that begins at a column of a line, with line breaks between words where the terminal ends. The lines after
    /// the first one have an indentation. A longer word is broken where the line ends, unless it is an address. Elsewhere, the
    /// text is one line.
    pub(super) fn wrapped(self, text: &str, column: usize, indentation: usize) -> String {
        let Some((width, _)) = self.terminal else { return text.to_string() };
        let (width, indentation) = (usize::from(width), indentation.min(usize::from(width) / 2));
        let (mut lines, mut at) = (String::new(), column);
        let mut rest = text;
        while !rest.is_empty() {
            let spaces = rest.len() - rest.trim_start_matches(' ').len();
            let end = rest[spaces..].find(' ').map_or(rest.len(), |end| spaces + end);
            let (word, behind) = rest.split_at(end);
            let mut word = word;
            let begin_line = |lines: &mut String| {
                lines.push('\n');
                lines.push_str(&" ".repeat(indentation));
                indentation
            };
            if at + word.chars().count() > width && indentation < at + spaces && spaces > 0 {
                at = begin_line(&mut lines);
                word = &word[spaces..];
            }
            let breaks = !word.contains("://");
            for c in word.chars() {
                if breaks && at >= width && indentation < width {
                    at = begin_line(&mut lines);
                }
                lines.push(c);
                at += 1;
            }
            rest = behind;
        }
        lines
    }

    /// Returns the width of the terminal in characters, or None if this is no terminal.
    pub(super) fn width(self) -> Option<usize> {
        self.terminal.map(|(width, _)| width.into())
    }

    /// Returns rows below the names of their columns. On a terminal: a table, of which no line is longer than the terminal is wide,
    /// with durations, sizes and counts as people read them. Elsewhere: lines with tabs, in which a backslash, a tab and a control
    /// character are escaped as in `\t` and `\x1b`.
    pub(super) fn table(self, names: &[&str], rows: &[Vec<String>], shown: &Shown) -> String {
        match self.terminal {
            Some((width, _)) => {
                let space = |table: &Table| {
                    let has_no =
                        |row: &Vec<String>, column| row.get(column).is_none_or(String::is_empty);
                    let hides = |column| {
                        let is_empty = rows.iter().all(|row| has_no(row, column));
                        let is_sorted_by = shown.first.first() == Some(&column);
                        is_empty
                            && !shown.has_empty
                            && !rows.is_empty()
                            && !is_sorted_by
                            && column > 0
                    };
                    constraints(names, &table.column_max_content_widths(), width, shown, hides)
                };
                self.terminal_table(names, rows, width, space)
            }
            None => tab_separated(names, rows),
        }
    }

    /// Returns whether rows need more width than the terminal has, so that whole ids would take the place of what follows them.
    pub(super) fn is_narrow_for(self, names: &[&str], rows: &[Vec<String>]) -> bool {
        let Some((width, _)) = self.terminal else { return false };
        let rows = readable_rows(names, rows);
        let longest = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(String::len).max();
            let is_last = column + 1 == names.len();
            cells.map(|length| if is_last { length.min(STATEMENT_CHARS) } else { length + 1 })
        };
        (0..names.len()).filter_map(longest).sum::<usize>() > usize::from(width)
    }

    /// Returns rows as [`Output::table`] does. On a terminal, the two columns in the middle are compared, so they share
    /// the width: neither hides the other.
    pub(super) fn comparison(self, names: &[&str; 4], rows: &[Vec<String>]) -> String {
        match self.terminal {
            Some((width, _)) => self.terminal_table(names, rows, width, |table| {
                comparison_constraints(&table.column_max_content_widths(), width)
            }),
            None => tab_separated(names, rows),
        }
    }

    fn terminal_table(
        self,
        names: &[&str],
        rows: &[Vec<String>],
        width: u16,
        constraints: impl Fn(&Table) -> Vec<ColumnConstraint>,
    ) -> String {
        let shown: Vec<String> = names.iter().map(|name| visible(shown_name(name))).collect();
        let rows = readable_rows(names, rows);
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        // A cell is cut where the column ends and not behind a word: no cell holds this character.
        table.set_delimiter('\0');
        let mut header = comfy_table::Row::from(shown);
        header.max_height(1);
        table.set_header(header);
        for row in &rows {
            let cells = row.iter().map(|cell| {
                let line: String = cell.split_whitespace().collect::<Vec<_>>().join(" ");
                // No terminal is wider, and text beyond its edge need not be arranged.
                visible(&line).chars().take(1000).collect::<String>()
            });
            let mut row = comfy_table::Row::from(cells.collect::<Vec<_>>());
            row.max_height(1);
            table.add_row(row);
        }
        let constraints = constraints(&table);
        for (column, constraint) in table.column_iter_mut().zip(constraints) {
            column.set_padding((0, 1)).set_constraint(constraint);
        }
        let mut lines = table.lines();
        let mut text = self.styled(BOLD, lines.next().unwrap_or_default().trim_end());
        for line in lines {
            text.push('\n');
            text.push_str(line.trim_end());
        }
        text + "\n"
    }

    /// Writes a text, through a pager if the terminal is not high enough for it. Exits if the reader has gone.
    pub(super) fn write(self, text: &str) -> anyhow::Result<()> {
        let is_long =
            self.terminal.is_some_and(|(_, height)| text.lines().count() >= height.into());
        match std::env::var("PAGER").unwrap_or_else(|_| "less".to_string()) {
            pager if is_long && !pager.is_empty() && pager != "cat" => page(&pager, text),
            _ => write_bytes(text.as_bytes()),
        }
    }

    /// Writes a value as JSON, on a terminal with line breaks.
    pub(super) fn json(self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        let mut text = match self.is_terminal() {
            true => serde_json::to_string_pretty(value)?,
            false => serde_json::to_string(value)?,
        };
        text.push('\n');
        write_bytes(json_escaped(&text).as_bytes())
    }
}

/// Writes a text through a pager, or as it is if the pager cannot be run.
fn page(pager: &str, text: &str) -> anyhow::Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", pager]).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    let Ok(mut child) = command.spawn() else { return write_bytes(text.as_bytes()) };
    let written = match child.stdin.take() {
        Some(mut input) => input.write_all(text.as_bytes()),
        None => Ok(()),
    };
    child.wait()?;
    exit_if_unread(written).context(WRITING)
}

/// Returns rows below the names of their columns, as lines with tabs.
fn tab_separated(names: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = visible(&names.join("\t")) + "\n";
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text
}

/// Which columns of a table a terminal shows that is too narrow for all.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// The places of columns that are shown before the others, beside the first and the last one: the most important first.
    pub first: Vec<usize>,
    /// Whether columns without any value are shown, because the user named them.
    pub has_empty: bool,
    /// The characters of the last column that are shown even if other columns are hidden for them.
    pub last_chars: u16,
}

/// Returns the name of a column on a terminal, no longer than its values. They have their units there, and what only loads have is
/// of a load there.
pub(super) fn shown_name(name: &str) -> &str {
    if let Some(of_load) = name.strip_prefix("load.") {
        return of_load.strip_suffix("_rows").unwrap_or(of_load);
    }
    match name.strip_suffix("_bytes") {
        Some("scan") => "scanned",
        Some(short) if short.contains('_') => short,
        _ if is_duration(name) => name.strip_suffix("_ms").unwrap_or(name),
        _ => name,
    }
}

/// Whether a column holds milliseconds that are no time of day.
fn is_duration(name: &str) -> bool {
    name.ends_with("_ms") && name != "started_ms" && name != "ended_ms"
}

/// Whether a column holds counts of rows, queries or plans.
fn is_count(name: &str) -> bool {
    const COUNTS: [&str; 6] = ["count", "errors", "runs", "plans", "rows_before", "rows_after"];
    name.ends_with("_rows") || COUNTS.contains(&name)
}

/// Whether a column holds words that people recognise by their start.
fn is_text(name: &str) -> bool {
    const TEXTS: [&str; 10] = [
        "user", "db", "cluster", "client", "catalog", "frontend", "workload_group",
        "compute_group", "cause", "load.table_list",
    ];
    TEXTS.contains(&name)
}

/// Returns the value of a column as people read it; None for a number that is no duration, no size and no count.
pub(super) fn readable_cell(name: &str, value: i64) -> Option<String> {
    match name {
        name if is_duration(name) => Some(readable_duration_ms(value)),
        name if name.ends_with("_bytes") => Some(readable_bytes(value)),
        name if is_count(name) => Some(readable_count(value)),
        _ => None,
    }
}

/// Returns the cells as people read them: durations and sizes with their units, large counts in three digits. A column `before` has
/// the unit of the column before it.
fn readable_rows(names: &[&str], rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let mut rows = rows.to_vec();
    let mut unit = "";
    for (column, name) in names.iter().enumerate() {
        unit = if *name == "before" { unit } else { name };
        for row in &mut rows {
            let Some(cell) = row.get_mut(column) else { continue };
            let Ok(value) = cell.parse::<i64>() else { continue };
            if let Some(readable) = readable_cell(unit, value) {
                *cell = readable;
            }
        }
    }
    rows
}

/// The characters of a statement that are of more use than a whole id.
const STATEMENT_CHARS: usize = 40;
/// The characters of a text that is cut so that other columns are shown.
const TEXT_CHARS: u16 = 10;

/// Returns the widths of the columns of a table that fits the terminal. The first column, which identifies the row,
/// is always shown. The last column is the longest (a statement, a name) and is cut. The others are shown as far as they
/// fit, the important ones first; where not all fit, their texts are cut, too.
fn constraints(
    names: &[&str],
    widths: &[u16],
    width: u16,
    shown: &Shown,
    hides: impl Fn(usize) -> bool,
) -> Vec<ColumnConstraint> {
    let Some((last, others)) = widths.split_last() else { return Vec::new() };
    let mut order: Vec<usize> = if others.is_empty() { Vec::new() } else { vec![0] };
    let rest = 0..others.len();
    order.extend(shown.first.iter().copied().filter(|column| rest.contains(column)));
    order.extend(rest);
    let mut seen = vec![false; others.len()];
    order.retain(|column| !std::mem::replace(&mut seen[*column], true) && !hides(*column));
    let fewest = shown.last_chars.saturating_add(PADDING).max(14);
    let least = |share: u16, most: u16| {
        last.saturating_add(PADDING).min((width / share).clamp(fewest, most.max(fewest)))
    };
    let whole = |column: usize| others[column].saturating_add(PADDING);
    let cut = |column: usize| match is_text(names[column]) {
        true => whole(column).min(TEXT_CHARS + PADDING),
        false => whole(column),
    };
    let all: u32 = order.iter().map(|column| u32::from(whole(*column))).sum();
    let (wanted, space): (&dyn Fn(usize) -> u16, u16) =
        match all <= u32::from(width.saturating_sub(least(5, 40))) {
            true => (&whole, width.saturating_sub(least(5, 40))),
            false => (&cut, width.saturating_sub(least(6, 20))),
        };
    let mut taken = 0;
    let mut constraints = vec![ColumnConstraint::Hidden; others.len()];
    for (place, column) in order.into_iter().enumerate() {
        let wanted = wanted(column);
        if wanted <= space.saturating_sub(taken) {
            taken += wanted;
            constraints[column] = fixed(wanted);
        } else if place == 0 {
            taken = wanted.min(width);
            constraints[column] = fixed(taken);
        }
    }
    // A value of before is of use only beside the value of now.
    for column in 1..others.len() {
        let is_alone = constraints[column - 1] == ColumnConstraint::Hidden;
        if names[column] == "before" && is_alone {
            constraints[column] = ColumnConstraint::Hidden;
        }
    }
    constraints.push(fixed(width.saturating_sub(taken).min(last.saturating_add(PADDING))));
    constraints
}

/// Returns the widths of the columns of a comparison: a name, two values, and their difference. The values share what
/// the name and the difference leave. A value that needs less than a half leaves the rest to the other one.
fn comparison_constraints(widths: &[u16], width: u16) -> Vec<ColumnConstraint> {
    let wanted: Vec<u16> = widths.iter().map(|content| content.saturating_add(PADDING)).collect();
    let [name, before, after, difference] = wanted[..] else { return Vec::new() };
    let name = name.min(width);
    // The values are of more use than their difference.
    let left = width - name;
    let difference = if difference <= left / 2 { difference } else { 0 };
    let left = left - difference;
    let before = before.min((left / 2).max(left.saturating_sub(after)));
    let after = after.min(left - before);
    [name, before, after, difference].map(fixed).into()
}

/// The space behind the content of a column.
const PADDING: u16 = 1;

/// Returns the constraint for a width with its padding. A column without space for content is hidden.
fn fixed(width: u16) -> ColumnConstraint {
    match width {
        0..=PADDING => ColumnConstraint::Hidden,
        width => ColumnConstraint::Absolute(Width::Fixed(width)),
    }
}

/// What a command was doing when its output could not be written.
pub(super) const WRITING: &str = "standard output cannot be written to";

/// Writes bytes as they are. Exits if the reader has gone.
pub(super) fn write_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    exit_if_unread(output.write_all(bytes).and_then(|()| output.flush())).context(WRITING)
}

/// Prints a line about something that is done. An error does not undo it, so it is only printed.
pub(super) fn print(line: impl Display) {
    let mut line = line.to_string();
    // The line may name a file, or quote a record.
    if io::stdout().is_terminal() {
        line = visible(&line);
    }
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("annals: {WRITING}: {error}");
        }
        _ => {}
    }
}

/// Whether standard output has a reader, which a pipe may lose.
pub(super) fn has_reader() -> bool {
    let output = io::stdout();
    let mut polled = [PollFd::new(&output, PollFlags::empty())];
    let no_wait = Timespec::default();
    let found = poll(&mut polled, Some(&no_wait));
    !(found.is_ok() && polled[0].revents().contains(PollFlags::ERR))
}

/// Returns the text of an error and of its causes. A driver repeats the text of a cause in that of the error above it:
/// of two such texts, the longer one stands.
pub fn error_text(error: &anyhow::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in error.chain() {
        // An error may quote a record or a file.
        let text = visible(&cause.to_string());
        match texts.last_mut() {
            Some(last) if last.contains(&text) => {}
            Some(last) if text.contains(last.as_str()) => *last = text,
            _ => texts.push(text),
        }
    }
    texts.join(": ")
}

/// Returns a text without the passwords of the addresses in it, which end at white space: a message may repeat what a user
/// typed in a wrong place.
pub fn hide_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find("://") {
        let (before, address) = rest.split_at(begin + "://".len());
        shown.push_str(before);
        let end = address.find(char::is_whitespace).unwrap_or(address.len());
        let (address, behind) = address.split_at(end);
        match address.rsplit_once('@').and_then(|(user, _)| user.split_once(':')) {
            Some((name, password)) => {
                shown.push_str(name);
                shown.push_str(":****");
                shown.push_str(&address[name.len() + 1 + password.len()..]);
            }
            None => shown.push_str(address),
        }
        rest = behind;
    }
    shown + rest
}

/// Exits without an error if the reader of a pipe has gone: it has read enough.
fn exit_if_unread(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        written => written,
    }
}

/// Returns the text with visible characters in the place of those that control a terminal. Line ends and tabs stay.
pub(super) fn visible(text: &str) -> String {
    let replaced = |c: char| match c {
        '\n' | '\t' => c,
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        c if is_control(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(replaced).collect()
}

/// Returns JSON in which every character that controls a terminal is escaped: JSON may leave those beyond ASCII as they
/// are. A reader of the JSON reads the same text. Line ends between values stay.
pub(super) fn json_escaped(json: &str) -> String {
    if !json.contains(|c: char| is_control(c) && c != '\n') {
        return json.to_string();
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        match c {
            '\n' => escaped.push(c),
            c if is_control(c) => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Returns the text with backslashes, tabs, line ends and control characters escaped.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn table(output: Output, names: &[&str], rows: &[Vec<String>]) -> String {
        output.table(names, rows, &Shown::default())
    }

    const PLAIN: Output = Output { terminal: None, has_colours: false };
    const TERMINAL: Output = Output { terminal: Some((20, 10)), has_colours: true };

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(visible("a\u{1b}[2J\tb\n\u{202e}\u{9b}"), "a\u{241b}[2J\tb\n\u{fffd}\u{fffd}");
        let json = serde_json::to_string("\u{1b}\u{9b}\u{7f}\u{202e}\n").unwrap();
        let escaped = json_escaped(&json);
        assert_eq!(escaped, r#""\u001b\u009b\u007f\u202e\n""#);
        assert_eq!(
            serde_json::from_str::<String>(&escaped).unwrap(),
            "\u{1b}\u{9b}\u{7f}\u{202e}\n"
        );
        let name = table(PLAIN, &["a\u{1b}"], &[]) + &table(TERMINAL, &["a\u{9b}"], &[]);
        assert!(!name.contains(['\u{9b}']) && name.starts_with("a\u{241b}"), "{name:?}");
        let rows = [vec!["a\tb\\".to_string(), "x\n\u{1b}".to_string()]];
        assert_eq!(table(PLAIN, &["one", "two"], &rows), "one\ttwo\na\\tb\\\\\tx\\n\\x1b\n");
    }

    #[test]
    fn an_error_does_not_repeat_the_texts_of_its_causes() {
        let error = anyhow::anyhow!("(code: 11) the image is malformed")
            .context("error of the database: (code: 11) the image is malformed")
            .context("the history cannot be read");
        let once =
            "the history cannot be read: error of the database: (code: 11) the image is malformed";
        assert_eq!(error_text(&error), once);
        let error = anyhow::anyhow!("Error code 11: malformed").context("malformed");
        assert_eq!(error_text(&error), "Error code 11: malformed");
        assert_eq!(error_text(&anyhow::anyhow!("one").context("two")), "two: one");
    }

    #[test]
    fn styles_are_written_where_there_are_colours() {
        assert_eq!(PLAIN.styled(RED, "x"), "x");
        assert_eq!(TERMINAL.styled(RED, "x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(
            TERMINAL.statement("select 'a'"),
            "\u{1b}[34mselect\u{1b}[0m \u{1b}[32m'a'\u{1b}[0m"
        );
    }

    #[test]
    fn compared_values_share_the_width() {
        let output = Output { terminal: Some((40, 10)), has_colours: false };
        let names = ["column", "before", "after", "change"];
        let row = |name: &str, before: &str, after: &str, change: &str| {
            [name, before, after, change].map(str::to_string).to_vec()
        };
        let long = "select a, b, c, d, e, f from t";
        let text =
            output.comparison(&names, &[row("sql", long, long, ""), row("ms", "1", "3", "+2")]);
        assert_eq!(
            text,
            "column before       after        change\n\
             sql    select a, b… select a, b…\n\
             ms     1            3            +2\n"
        );
        let text = output.comparison(&names, &[row("sql", "select 1", long, "")]);
        assert_eq!(
            text,
            "column before   after            change\n\
             sql    select 1 select a, b, c,…\n"
        );
    }

    #[test]
    fn a_text_breaks_between_words() {
        let output = Output { terminal: Some((20, 10)), has_colours: false };
        let text = "Try: more memory for  the join";
        assert_eq!(output.wrapped(text, 0, 5), "Try: more memory for\n     the join");
        assert_eq!(output.wrapped(text, 8, 2), "Try: more\n  memory for  the\n  join");
        let long = "See: the https://example.org/a/long/address";
        assert_eq!(output.wrapped(long, 0, 5), "See: the\n     https://example.org/a/long/address");
        // A word that is longer than a line is broken where the line ends.
        assert_eq!(
            output.wrapped("a table(a_rather_long_name)", 0, 5),
            "a table(a_rather_lon\n     g_name)"
        );
        assert_eq!(
            output.wrapped("a_word_longer_than_the_line", 10, 5),
            "a_word_lon\n     ger_than_the_li\n     ne"
        );
        assert_eq!(PLAIN.wrapped(text, 0, 5), text);
    }

    #[test]
    fn a_table_fits_the_terminal_and_keeps_its_first_column() {
        let row =
            |id: &str, user: &str| vec![id.to_string(), user.to_string(), "select ".repeat(9)];
        let text = table(TERMINAL, &["id", "user", "statement"], &[row("1-2", "somebody")]);
        assert_eq!(text, "\u{1b}[1mid  statement\u{1b}[0m\n1-2 select select …\n");
    }

    #[test]
    fn a_narrow_table_keeps_what_is_important_and_shortens_texts() {
        let names = [
            "query_id", "started_at", "duration_ms", "state", "user", "db", "scan_rows",
            "statement",
        ];
        let row = |user: &str, db: &str| {
            [
                "6b1d3f5a7c", "2025-11-03 14:58:00", "10240", "EOF", user, db, "640000000",
                "select sum(o.price) from orders o",
            ]
            .map(str::to_string)
            .to_vec()
        };
        let shown = |width, user, db, first: &[usize]| {
            let output = Output { terminal: Some((width, 10)), has_colours: false };
            let first = first.to_vec();
            output.table(&names, &[row(user, db)], &Shown { first, ..Shown::default() })
        };
        assert_eq!(
            shown(80, "a_service_account", "the_warehouse", &[4, 5]),
            "query_id   started_at          duration user       db         statement\n\
             6b1d3f5a7c 2025-11-03 14:58:00 10.2 s   a_service… the_wareh… select sum(o.pri…\n"
        );
        assert_eq!(
            shown(80, "mira", "", &[6]),
            "query_id   started_at          duration state user scan_rows statement\n\
             6b1d3f5a7c 2025-11-03 14:58:00 10.2 s   EOF   mira 640M      select sum(o.pric…\n"
        );
        let whole = shown(120, "a_service_account", "the_warehouse", &[]);
        assert!(whole.contains("a_service_account the_warehouse 640M"), "{whole}");
    }
}
