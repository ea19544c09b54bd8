//! The column of each cell in a list's rows, by the titles or by the content of the cells.

use std::net::IpAddr;

use serde_json::Value;

use super::text_of_cell;
use crate::domain::time::{leading_local_time, parse_duration_ms};

/// A column of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Id,
    Frontend,
    Type,
    Start,
    End,
    Total,
    State,
    User,
    Catalog,
    Db,
    Statement,
}

/// How many columns there are.
pub(super) const COLUMNS: usize = 11;

/// The types that frontends write, in lower case.
const TYPES: [&str; 3] = ["query", "load", "insert"];

/// The states that frontends write, in lower case.
const STATES: [&str; 14] = [
    "eof", "ok", "err", "error", "noop", "running", "finished", "failed", "cancelled", "canceled",
    "pending", "loading", "committed", "timeout",
];

impl Column {
    /// Returns the column of a title. Letter case, white space and underscores do not matter.
    pub(super) fn of_title(title: &str) -> Option<Column> {
        let title: String = title
            .chars()
            .filter(|char| !char.is_whitespace() && *char != '_')
            .flat_map(char::to_lowercase)
            .collect();
        Some(match title.as_str() {
            "profileid" | "queryid" => Column::Id,
            "fe节点" | "frontend" => Column::Frontend,
            "查询类型" | "tasktype" | "querytype" => Column::Type,
            "开始时间" | "starttime" => Column::Start,
            "结束时间" | "endtime" => Column::End,
            "执行时长" | "total" => Column::Total,
            "状态" | "taskstate" | "querystate" | "state" => Column::State,
            "查询用户" | "user" => Column::User,
            "defaultcatalog" | "catalog" => Column::Catalog,
            "执行数据库" | "defaultdb" | "database" | "db" => Column::Db,
            "sql" | "sqlstatement" | "statement" => Column::Statement,
            _ => return None,
        })
    }

    /// Returns whether most of the known cells are values of this column. True for a column whose values have no form of
    /// their own.
    fn fits(self, forms: &CellForms) -> bool {
        let count = match self {
            Column::Id => forms.ids,
            Column::Type => forms.types,
            Column::Start | Column::End => forms.times,
            Column::Total => forms.durations,
            Column::State => forms.states,
            _ => return true,
        };
        forms.known == 0 || forms.are_mostly(count)
    }
}

/// How many of the cells at one place of the rows have which form.
#[derive(Debug, Default, Clone, Copy)]
struct CellForms {
    /// Cells with a known value.
    known: usize,
    ids: usize,
    hosts: usize,
    types: usize,
    times: usize,
    durations: usize,
    states: usize,
    /// Cells of several words.
    texts: usize,
}

impl CellForms {
    fn add(&mut self, cell: &str) {
        let cell = cell.trim();
        if is_unknown(cell) {
            return;
        }
        let is_one_of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(cell));
        self.known += 1;
        self.ids += usize::from(is_id(cell));
        self.hosts += usize::from(is_host(cell));
        self.types += usize::from(is_one_of(&TYPES));
        self.times += usize::from(leading_local_time(cell.as_bytes()).is_some());
        self.durations += usize::from(cell == "0" || parse_duration_ms(cell).is_some());
        self.states += usize::from(is_one_of(&STATES));
        self.texts += usize::from(cell.contains(char::is_whitespace));
    }

    /// Returns whether `count` is more than half of the known cells.
    fn are_mostly(&self, count: usize) -> bool {
        2 * count > self.known
    }

    /// Returns whether most of the known cells are one word.
    fn are_words(&self) -> bool {
        self.are_mostly(self.known - self.texts)
    }
}

/// Returns whether a cell has no value.
pub(super) fn is_unknown(cell: &str) -> bool {
    ["", "N/A", "null", "-1"].contains(&cell) || cell.eq_ignore_ascii_case("unknown")
}

/// Returns whether a text is a query id (two hexadecimal numbers, or a UUID) or the number of a load's job.
fn is_id(text: &str) -> bool {
    let mut parts = 0;
    let are_hex = text.split('-').all(|part| {
        parts += 1;
        (1..=16).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    are_hex && (parts == 2 || parts == 5 && text.len() == 36)
        || parts == 1 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether a text is an address, or a host and a port.
fn is_host(text: &str) -> bool {
    let with_port = text.rsplit_once(':').is_some_and(|(host, port)| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:%".contains(&byte);
        !host.is_empty() && host.bytes().all(is_name) && port.parse::<u16>().is_ok()
    });
    with_port || text.parse::<IpAddr>().is_ok()
}

/// Returns the column of each cell of the rows of one width.
pub(super) fn column_order(
    titles: &[Option<Column>],
    width: usize,
    rows: &[&[Value]],
) -> Vec<Option<Column>> {
    let mut forms = vec![CellForms::default(); width];
    for row in rows {
        for (cell, forms) in row.iter().zip(&mut forms) {
            if let Some(text) = text_of_cell(cell) {
                forms.add(&text);
            }
        }
    }
    let titles_fit = titles.len() == width
        && titles.contains(&Some(Column::Start))
        && titles.iter().zip(&forms).all(|(title, forms)| title.is_none_or(|it| it.fits(forms)));
    if titles_fit {
        return titles.to_vec();
    }
    let mut order = Order { columns: vec![None; width], forms };
    order.place_formed(titles);
    order.place_others();
    order.columns
}

/// The order of the columns as far as it is known.
struct Order {
    columns: Vec<Option<Column>>,
    forms: Vec<CellForms>,
}

impl Order {
    /// Gives a cell its column if it has none. Returns the cell if it did.
    fn place(&mut self, at: Option<usize>, column: Column) -> Option<usize> {
        let free = at.filter(|at| self.columns.get(*at) == Some(&None));
        if let Some(at) = free {
            self.columns[at] = Some(column);
        }
        free
    }

    /// Returns the first cell without a column for whose forms `is` is true.
    fn find(&self, is: impl Fn(&CellForms) -> bool) -> Option<usize> {
        let mut cells = self.columns.iter().zip(&self.forms);
        cells.position(|(column, forms)| column.is_none() && is(forms))
    }

    /// Returns the first cell without a column of which most values have the form that `count` counts.
    fn find_mostly(&self, count: impl Fn(&CellForms) -> usize) -> Option<usize> {
        self.find(|forms| forms.are_mostly(count(forms)))
    }

    /// Returns the cell after another one if its values fit a column.
    fn next_fits(&self, at: Option<usize>, column: Column) -> Option<usize> {
        at.map(|at| at + 1).filter(|at| self.forms.get(*at).is_some_and(|forms| column.fits(forms)))
    }

    fn are_words(&self, at: usize) -> bool {
        self.forms.get(at).is_some_and(CellForms::are_words)
    }

    /// Places the columns whose values have a form of their own. Type, start, end, total and state come in this order in
    /// every version, wherever they begin. In a list of running queries alone the end has no value, and is found by its
    /// place.
    fn place_formed(&mut self, titles: &[Option<Column>]) {
        let start = self.find_mostly(|forms| forms.times);
        let start = self.place(start, Column::Start);
        let end =
            self.next_fits(start, Column::End).or_else(|| self.find_mostly(|forms| forms.times));
        let end = self.place(end, Column::End);
        let total = self
            .next_fits(end, Column::Total)
            .or_else(|| self.find_mostly(|forms| forms.durations));
        let total = self.place(total, Column::Total);
        let state = self
            .next_fits(total, Column::State)
            .or_else(|| self.find_mostly(|forms| forms.states))
            // A new state.
            .or_else(|| total.map(|at| at + 1).filter(|at| self.are_words(*at)));
        self.place(state, Column::State);
        let before = start.and_then(|at| at.checked_sub(1));
        let kind = before
            .filter(|at| self.forms[*at].are_mostly(self.forms[*at].types))
            .or_else(|| self.find_mostly(|forms| forms.types))
            .or_else(|| before.filter(|at| *at > 1 && self.are_words(*at)));
        self.place(kind, Column::Type);
        let id = self.find_mostly(|forms| forms.ids).or_else(|| self.find(CellForms::are_words));
        self.place(id, Column::Id);
        let titled = titles.iter().position(|title| *title == Some(Column::Frontend));
        let host = self.find_mostly(|forms| forms.hosts).or(titled);
        self.place(host, Column::Frontend);
    }

    /// Places the columns whose values have no form of their own. They have one order in every version: the user, the
    /// catalog in some, the database, the statement, the plan in some.
    fn place_others(&mut self) {
        let left: Vec<usize> =
            (0..self.columns.len()).filter(|at| self.columns[*at].is_none()).collect();
        let columns: &[Column] = match left.as_slice() {
            [_, _, third, fourth, ..] => {
                let (third, fourth) = (&self.forms[*third], &self.forms[*fourth]);
                let is_statement =
                    third.are_mostly(third.texts) || third.known > 0 && fourth.known == 0;
                match is_statement && third.known > 0 {
                    true => &[Column::User, Column::Db, Column::Statement],
                    false => &[Column::User, Column::Catalog, Column::Db, Column::Statement],
                }
            }
            [_, _] => &[Column::User, Column::Statement],
            _ => &[Column::User, Column::Db, Column::Statement],
        };
        for (at, column) in left.into_iter().zip(columns) {
            self.columns[at] = Some(*column);
        }
    }
}
