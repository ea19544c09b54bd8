//! The rows of a page of a table or an index (sqlite.org/fileformat2.html, "B-tree Pages" and "Record Format").

use super::pages::{Pages, word};

/// A value as SQLite stores it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// A row of a table, or an entry of an index.
#[derive(Debug)]
pub(super) struct Row {
    /// None for an entry of an index.
    pub(super) rowid: Option<i64>,
    pub(super) values: Vec<Value>,
    /// Whether some values are lost: those on an overflow page that cannot be read, and texts that are not UTF-8. They
    /// are null.
    pub(super) is_cut: bool,
}

/// What kind of tree a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageKind {
    TableLeaf,
    /// A page of an index, which has entries in each page.
    Index {
        is_leaf: bool,
    },
    /// A page of a table that only leads to others.
    TableInterior,
}

/// Returns the kind of a page of a table or an index, None for any other page.
pub(super) fn kind(number: u32, page: &[u8]) -> Option<PageKind> {
    match page.get(start(number))? {
        0x0d => Some(PageKind::TableLeaf),
        0x0a => Some(PageKind::Index { is_leaf: true }),
        0x02 => Some(PageKind::Index { is_leaf: false }),
        0x05 => Some(PageKind::TableInterior),
        _ => None,
    }
}

/// The file's header is in the first page.
fn start(number: u32) -> usize {
    if number == 1 { 100 } else { 0 }
}

/// Returns the rows of a page, with None for each that cannot be read.
pub(super) fn rows(pages: &Pages, number: u32, page: &[u8], kind: PageKind) -> Vec<Option<Row>> {
    let begin = start(number);
    let pointers = match kind {
        PageKind::TableInterior => return Vec::new(),
        PageKind::TableLeaf | PageKind::Index { is_leaf: true } => begin + 8,
        PageKind::Index { is_leaf: false } => begin + 12,
    };
    let cells = usize::from(short(page, begin + 3)).min((pages.usable - pointers) / 2);
    let row = |cell| {
        let at = usize::from(short(page, pointers + 2 * cell));
        read_row(pages, page.get(..pages.usable)?, at, kind)
    };
    (0..cells).map(row).collect()
}

fn read_row(pages: &Pages, page: &[u8], at: usize, kind: PageKind) -> Option<Row> {
    let mut rest = page.get(at..)?;
    let usable = pages.usable;
    let largest = match kind {
        PageKind::TableLeaf => usable - 35,
        _ => (usable - 12) * 64 / 255 - 23,
    };
    if kind == (PageKind::Index { is_leaf: false }) {
        rest = rest.get(4..)?;
    }
    let bytes = usize::try_from(varint(&mut rest)?).ok()?;
    let rowid = match kind {
        PageKind::TableLeaf => Some(varint(&mut rest)?),
        _ => None,
    };
    // No row is larger than the file.
    if bytes > (pages.count as usize).saturating_mul(usable) {
        return None;
    }
    let payload = payload(pages, rest, bytes, largest)?;
    let (values, is_cut) = read_values(&payload, payload.len() < bytes)?;
    Some(Row { rowid, values, is_cut })
}

/// Returns the bytes of a row: those in its page, and those in overflow pages up to the first that cannot be read.
fn payload(pages: &Pages, rest: &[u8], bytes: usize, largest: usize) -> Option<Vec<u8>> {
    if bytes <= largest {
        return rest.get(..bytes).map(<[u8]>::to_vec);
    }
    let usable = pages.usable;
    let smallest = (usable - 12) * 32 / 255 - 23;
    let local = smallest + (bytes - smallest) % (usable - 4);
    let local = if local <= largest { local } else { smallest };
    let mut payload = rest.get(..local)?.to_vec();
    let mut next = word(rest, local);
    while payload.len() < bytes {
        let Some(page) = pages.read(next) else { break };
        let part = (bytes - payload.len()).min(usable - 4);
        let following = word(&page, 0);
        let is_last = payload.len() + part == bytes;
        // The chain ends exactly with the row; another page is not part of it.
        if (following == 0) != is_last {
            break;
        }
        payload.extend_from_slice(&page[4..4 + part]);
        next = following;
    }
    Some(payload)
}

/// Returns the values of a row, null where the bytes do not reach, and whether some are lost.
fn read_values(payload: &[u8], mut is_cut: bool) -> Option<(Vec<Value>, bool)> {
    let mut header = payload;
    let header_bytes = usize::try_from(varint(&mut header)?).ok()?;
    let mut types = payload.get(payload.len() - header.len()..header_bytes)?;
    let mut body = payload.get(header_bytes..)?;
    let mut values = Vec::new();
    while !types.is_empty() {
        let kind = varint(&mut types)?;
        let bytes = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind as usize,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let Some((value, rest)) = body.split_at_checked(bytes) else {
            // Without an overflow page that is missing, the row is no row.
            if !is_cut {
                return None;
            }
            body = &[];
            values.push(Value::Null);
            continue;
        };
        body = rest;
        values.push(match kind {
            0 => Value::Null,
            8 | 9 => Value::Integer(kind - 8),
            1..=6 => Value::Integer(integer(value)),
            7 => Value::Real(f64::from_bits(integer(value) as u64)),
            kind if kind % 2 == 0 => Value::Blob(value.to_vec()),
            _ => match String::from_utf8(value.to_vec()) {
                Ok(text) => Value::Text(text),
                Err(_) => {
                    is_cut = true;
                    Value::Null
                }
            },
        });
    }
    Some((values, is_cut))
}

/// Returns a number of up to eight bytes.
fn integer(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte))
}

/// Takes a number of variable length.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for at in 0..9 {
        let byte = *bytes.get(at)?;
        if at == 8 {
            value = value << 8 | u64::from(byte);
        } else {
            value = value << 7 | u64::from(byte & 0x7f);
        }
        if at == 8 || byte & 0x80 == 0 {
            *bytes = bytes.get(at + 1..)?;
            return Some(value as i64);
        }
    }
    None
}

/// Returns the number of 16 bits at a place; 0 beyond the end.
fn short(bytes: &[u8], at: usize) -> u16 {
    let short = bytes.get(at..at + 2).and_then(|short| short.try_into().ok());
    short.map_or(0, u16::from_be_bytes)
}
