//! What can be read of a damaged file, page by page, without the trees that lead to the pages.
//!
//! SQLite finds a row by way of other pages, and gives up at the first that is damaged. Here each page of the file is
//! looked at for itself: a page of a table has whole rows, the pointer map says whether it is in use, and the shape of a
//! row says of which table it is. So one damaged page costs the rows of that page, also if it is the header, the schema
//! or the root of a table.

mod cells;
mod pages;
mod tables;

use std::path::Path;
use std::sync::Arc;

use self::cells::{PageKind, Row, Value, kind, rows};
use self::pages::{Pages, Use};
use self::tables::{Roots, Table, tables};
use rusqlite::Connection;
use rusqlite::types::Value as Bound;

use super::super::open::schema;
use crate::store::contents::{LostPage, Survey};
use crate::store::error::StoreError;

/// The tables that a merge takes.
const MERGED: [&str; 4] = ["query", "load", "profile", "login"];

/// The most pages behind the end of a cut file that are listed: the count of pages may be damaged itself.
const MAX_CUT_PAGES: usize = 100_000;

/// The index by which lost queries are known.
const INDEX_OF_IDS: &str = "query_by_query_id";

/// Reads every page of a file, and counts what can be read.
pub(in crate::store::sqlite) fn survey(path: &Path) -> Result<Survey, StoreError> {
    let empty = Connection::open_in_memory()?;
    schema().try_for_each(|migration| empty.execute_batch(migration))?;
    Reading::new(path, tables(&empty)?)?.read(|_, _| Ok(true))
}

/// Writes every row that can be read into `scratch`, an empty history.
pub(in crate::store::sqlite) fn salvage(path: &Path, scratch: &Path) -> Result<Survey, StoreError> {
    let sqlite = Connection::open(scratch)?;
    // Rows may lack their counterparts, and nobody needs the file if the machine stops.
    sqlite.execute_batch(
        "PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;
         BEGIN IMMEDIATE",
    )?;
    let reading = Reading::new(path, tables(&sqlite)?)?;
    // An older annals' records are parsed again when the file is opened.
    let version = reading.pages.user_version;
    let survey = reading.read(|table, row| insert(&sqlite, table, row))?;
    if let Some(version) = version {
        sqlite.pragma_update(None, "user_version", version)?;
    }
    sqlite.execute_batch("COMMIT")?;
    Ok(survey)
}

/// Copies the tables that a merge leaves out, as users and labels, from one history into another.
pub(in crate::store::sqlite) fn copy_rest(from: &Path, into: &Path) -> Result<(), StoreError> {
    let sqlite = Connection::open(into)?;
    sqlite.execute("ATTACH ? AS salvaged", [from.to_string_lossy()])?;
    for table in tables(&sqlite)?.iter().filter(|table| !MERGED.contains(&table.name.as_str())) {
        let name = &table.name;
        sqlite.execute_batch(&format!(
            "INSERT OR IGNORE INTO main.{name} SELECT * FROM salvaged.{name}"
        ))?;
    }
    Ok(())
}

/// Inserts a row. Returns false if a rule of the table rejects it.
fn insert(sqlite: &Connection, table: &Table, row: &Row) -> Result<bool, StoreError> {
    let columns = &table.columns[..row.values.len()];
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let sql = format!(
        "INSERT OR IGNORE INTO {} ({}) VALUES ({})",
        table.name,
        names.join(", "),
        vec!["?"; names.len()].join(", ")
    );
    let values = (0..names.len()).map(|at| match table.or_default(at, row) {
        Value::Null => Bound::Null,
        Value::Integer(number) => Bound::Integer(number),
        Value::Real(number) => Bound::Real(number),
        Value::Text(text) => Bound::Text(text),
        Value::Blob(bytes) => Bound::Blob(bytes),
    });
    let inserted = sqlite.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(values))?;
    Ok(inserted == 1)
}

/// A reading of all pages of a file.
struct Reading {
    pages: Pages,
    tables: Arc<[Table]>,
    roots: Roots,
    survey: Survey,
    /// The pages of the index of ids.
    index: Vec<u32>,
    /// The rows of queries that are read.
    queries: foldhash::HashSet<i64>,
}

impl Reading {
    fn new(path: &Path, tables: Vec<Table>) -> Result<Reading, StoreError> {
        let mut reading = Reading {
            pages: Pages::open(path)?,
            tables: tables.into(),
            roots: Roots::default(),
            survey: Survey::default(),
            index: Vec::new(),
            queries: foldhash::HashSet::default(),
        };
        reading.read_roots();
        Ok(reading)
    }

    /// Learns the roots of all tables, which the other pages are known by.
    fn read_roots(&mut self) {
        for number in 1..=self.pages.count {
            let Some(page) = self.page(number) else { continue };
            let is_of_schema = matches!(self.pages.root_of(number), None | Some(1));
            if is_of_schema && kind(number, &page) == Some(PageKind::TableLeaf) {
                for row in
                    rows(&self.pages, number, &page, PageKind::TableLeaf).into_iter().flatten()
                {
                    self.roots.add(&row);
                }
            }
        }
    }

    /// Returns a page that may be of a table or an index.
    fn page(&self, number: u32) -> Option<Vec<u8>> {
        if self.pages.is_internal(number)
            || matches!(self.pages.use_of(number), Use::Free | Use::Overflow)
        {
            return None;
        }
        self.pages.read(number)
    }

    /// Calls `each` with every row that can be read, and returns what there is. `each` returns whether it kept the row.
    fn read(
        mut self,
        mut each: impl FnMut(&Table, &Row) -> Result<bool, StoreError>,
    ) -> Result<Survey, StoreError> {
        for number in 1..=self.pages.count {
            if self.pages.is_internal(number) {
                continue;
            }
            let used = self.pages.use_of(number);
            if matches!(used, Use::Free | Use::Overflow) {
                continue;
            }
            let owner = self.pages.root_of(number).and_then(|root| self.roots.name(root));
            let owner = owner.map(str::to_string);
            let page = self.pages.read(number);
            match page.as_ref().and_then(|page| Some((page, kind(number, page)?))) {
                Some((page, kind)) => {
                    if owner.as_deref() == Some(INDEX_OF_IDS) {
                        self.index.push(number);
                    }
                    for row in rows(&self.pages, number, page, kind) {
                        self.take(owner.as_deref(), row, &mut each)?;
                    }
                }
                // An overflow page has no kind, either.
                None if used == Use::Unknown && page.is_some() => {}
                None => self.survey.pages.push(LostPage { page: number, table: owner }),
            }
        }
        let cut = self.pages.count + 1..=self.pages.by_header;
        self.survey
            .pages
            .extend(cut.take(MAX_CUT_PAGES).map(|page| LostPage { page, table: None }));
        self.survey.damaged_frames = self.pages.damaged_frames;
        let mut lost = Vec::new();
        for number in std::mem::take(&mut self.index) {
            let Some(page) = self.pages.read(number) else { continue };
            let Some(kind) = kind(number, &page) else { continue };
            for row in rows(&self.pages, number, &page, kind).into_iter().flatten() {
                if let [Value::Text(id), Value::Integer(row)] = row.values.as_slice()
                    && !self.queries.contains(row)
                {
                    lost.push(id.clone());
                }
            }
        }
        lost.sort_unstable();
        lost.dedup();
        self.survey.queries = lost;
        Ok(self.survey)
    }

    /// Takes a row of a page; `owner` is the table or index of the page if it is known.
    fn take(
        &mut self,
        owner: Option<&str>,
        row: Option<Row>,
        each: &mut impl FnMut(&Table, &Row) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let tables = self.tables.clone();
        let owned = owner.and_then(|owner| tables.iter().find(|table| table.name == owner));
        let mut lose = |name: &str| *self.survey.lost.entry(name.to_string()).or_default() += 1;
        let Some(row) = row else {
            lose(owner.unwrap_or("unknown"));
            return Ok(());
        };
        let table = match (owner, owned) {
            (Some(_), None) => return Ok(()),
            (Some(_), Some(table)) => Some(table).filter(|table| table.takes(&row)),
            // The rows of the schema have a shape that no other table has.
            (None, _) if Roots::default().add(&row) => return Ok(()),
            (None, _) => by_shape(&tables, &row),
        };
        let Some(table) = table else {
            owned.inspect(|table| lose(&table.name));
            return Ok(());
        };
        if !table.is_useful(&row) || !each(table, &row)? {
            lose(&table.name);
            return Ok(());
        }
        *self.survey.saved.entry(table.name.clone()).or_default() += 1;
        if row.is_cut {
            *self.survey.incomplete.entry(table.name.clone()).or_default() += 1;
        }
        if let ("query", Some(row)) = (table.name.as_str(), row.rowid) {
            self.queries.insert(row);
        }
        Ok(())
    }
}

/// Returns the table that takes a row: the one with as many columns before one that has got more since.
fn by_shape<'a>(tables: &'a [Table], row: &Row) -> Option<&'a Table> {
    let fitting = tables.iter().filter(|table| table.takes(row));
    fitting.min_by_key(|table| table.columns.len())
}
