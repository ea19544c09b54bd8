//! A file, or any stream of bytes: unpacked, decoded, recognised by its content and read in bounded memory.
//!
//! An input passes four layers, each a module: what it is packed with (`archive`), the encoding of its text
//! (`encoding`), what the text is (`sniff`), and what is around each line of a log (`wrapper`). Then the text's own
//! reader reads it: `audit_log`, `dump` for tables, or `answer` for JSON, HTML and texts that hold profiles.

mod client_table;
mod counted;
mod input;
mod json;
mod log;

use std::borrow::Cow;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use self::counted::{CountedToLines, has_counted_messages};
use self::input::{CrToLf, has_cr_lines, read_head, with_lf};
use super::answer;
use super::archive::{self, MAGIC_BYTES, MAX_UNPACKED_BYTES, Packing};
use super::budget::Budget;
use super::encoding::{Encoding, lossy};
use super::sniff::{self, Content};
use super::{Item, SkipReason, Skipped};
use crate::domain::profile::Profile;
use crate::domain::time::Zone;

pub(super) use self::client_table::Layout;

/// The largest profile that is read, in bytes.
pub(crate) const MAX_PROFILE_BYTES: usize = 128 << 20;

/// The largest JSON document that is read, in bytes: a profile, each of its bytes escaped.
const MAX_JSON_BYTES: usize = 2 * MAX_PROFILE_BYTES;

/// How much of an input is read to recognise its content, in bytes.
const HEAD_BYTES: u64 = 1 << 20;

/// How many times an input may be packed: a packed log within a packed archive.
const MAX_LAYERS: usize = 3;

/// The byte-order mark of UTF-8.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// How inputs are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// The zone of times without a zone.
    pub zone: Zone,
    /// The encoding of texts without a byte-order mark; None is UTF-8, or UTF-16 if that is obvious.
    pub encoding: Option<Encoding>,
}

/// Where an item is in its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location<'a> {
    /// The file within an archive.
    pub entry: Option<&'a str>,
    /// The line where the item begins, from 1. Within a JSON array, the number of the element.
    pub line: u64,
}

/// Receives the items of an input. An error ends the reading.
pub(crate) type Emit<'a, E> = dyn FnMut(Location<'_>, Item) -> Result<(), E> + 'a;

/// Reads an input to its end and calls `emit` with its items, in order. The `name` of the file tells the other files of a
/// frontend from unknown files. Memory does not grow with the input: at most one record, profile or JSON document is
/// held.
///
/// An input that cannot be read becomes an [`Item::Skipped`]. Errors only as `emit` does.
pub(crate) fn read<E>(
    mut input: impl Read,
    name: &Path,
    options: Options,
    emit: &mut Emit<'_, E>,
) -> Result<(), E> {
    let mut reader = Reader::new(name, options, emit);
    let result = reader.read_packed(&mut input, 0);
    reader.report_stop(result)
}

/// Does what [`read`] does for an input that can seek: a zip archive need not be copied then.
pub(crate) fn read_seekable<E>(
    mut input: impl Read + Seek,
    name: &Path,
    options: Options,
    emit: &mut Emit<'_, E>,
) -> Result<(), E> {
    let mut reader = Reader::new(name, options, emit);
    let result = reader.read_seekable(&mut input);
    reader.report_stop(result)
}

/// Why reading ended early.
pub(super) enum Stop<E> {
    /// The receiver of the items returned an error.
    Receiver(E),
    /// The input cannot be read beyond a line.
    Input { line: u64, error: io::Error },
    /// An archive cannot be read on.
    Archive(SkipReason),
}

impl<E> From<SkipReason> for Stop<E> {
    fn from(reason: SkipReason) -> Stop<E> {
        Stop::Archive(reason)
    }
}

/// Reads one input.
struct Reader<'e, 'a, E> {
    options: Options,
    emit: &'e mut Emit<'a, E>,
    /// The name of the file, without its folders.
    name: String,
    /// The file within an archive.
    entry: Option<String>,
}

impl<'e, 'a, E> Reader<'e, 'a, E> {
    fn new(name: &Path, options: Options, emit: &'e mut Emit<'a, E>) -> Reader<'e, 'a, E> {
        let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Reader { options, emit, name, entry: None }
    }

    /// Emits an item that begins at a line.
    fn emit(&mut self, line: u64, item: Item) -> Result<(), Stop<E>> {
        let location = Location { entry: self.entry.as_deref(), line };
        let item = match item {
            Item::Skipped(skipped) => Item::Skipped(Skipped { line, ..skipped }),
            item => item,
        };
        (self.emit)(location, item).map_err(Stop::Receiver)
    }

    fn skip(&mut self, line: u64, reason: SkipReason) -> Result<(), Stop<E>> {
        self.emit(line, Item::Skipped(Skipped { line, reason }))
    }

    /// Reports as skipped what the input could not give. Errors if the receiver of the items did.
    fn report_stop(&mut self, result: Result<(), Stop<E>>) -> Result<(), E> {
        let reported = match result {
            Err(Stop::Input { line, error }) => {
                let reason = match error.kind() {
                    io::ErrorKind::FileTooLarge => SkipReason::TooMuchUnpacked,
                    io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::InvalidData => SkipReason::Damaged,
                    // An error within an archive's file is the archive's.
                    _ if self.entry.is_some() => SkipReason::Damaged,
                    _ => SkipReason::Unreadable,
                };
                self.skip(line, reason)
            }
            Err(Stop::Archive(reason)) => self.skip(1, reason),
            result => result,
        };
        match reported {
            Err(Stop::Receiver(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn read_seekable(&mut self, input: &mut (impl Read + Seek)) -> Result<(), Stop<E>> {
        let mut magic = Vec::new();
        input.by_ref().take(MAGIC_BYTES).read_to_end(&mut magic).map_err(unreadable)?;
        input.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        match Packing::of(&magic) {
            Some(Packing::Zip) => self.read_zip(input),
            _ => self.read_packed(input, 0),
        }
    }

    /// Unpacks an input if it is packed, and reads it. `layers` are unpacked already.
    fn read_packed(&mut self, input: &mut dyn Read, layers: usize) -> Result<(), Stop<E>> {
        let (magic, mut input) = read_head(input, MAGIC_BYTES).map_err(unreadable)?;
        match Packing::of(&magic) {
            None => self.read_text(&mut input),
            Some(_) if layers == MAX_LAYERS => self.skip(1, SkipReason::NestedArchive),
            Some(Packing::Gzip) => {
                let input = BufReader::with_capacity(1 << 16, input);
                self.read_packed(&mut MultiGzDecoder::new(input), layers + 1)
            }
            Some(Packing::Unknown) => self.skip(1, SkipReason::UnknownPacking),
            Some(Packing::Zip | Packing::Tar) if self.entry.is_some() => {
                self.skip(1, SkipReason::NestedArchive)
            }
            Some(Packing::Zip) => {
                let copy = archive::seekable_copy(&mut input).map_err(unreadable)?;
                self.read_zip(copy)
            }
            Some(Packing::Tar) => {
                let budget = Budget::new(MAX_UNPACKED_BYTES, io::ErrorKind::FileTooLarge);
                archive::tar(&mut input, &mut |name, file| {
                    self.read_archived(name, file, &budget, layers)
                })
            }
        }
    }

    fn read_zip(&mut self, archive: impl Read + Seek) -> Result<(), Stop<E>> {
        let budget = Budget::new(MAX_UNPACKED_BYTES, io::ErrorKind::FileTooLarge);
        archive::zip(archive, &mut |name, file| self.read_archived(name, file, &budget, 1))
    }

    /// Reads a file within an archive. The others are read even if this one is damaged.
    fn read_archived(
        &mut self,
        name: String,
        file: archive::ArchiveFile<'_>,
        budget: &Budget,
        layers: usize,
    ) -> Result<(), Stop<E>> {
        let file_name = name.rsplit(['/', '\\']).next().unwrap_or_default().to_string();
        let outer_name = std::mem::replace(&mut self.name, file_name);
        self.entry = Some(name);
        let result = match file {
            Ok(input) => self.read_packed(&mut budget.reader(input), layers),
            Err(reason) => self.skip(1, reason),
        };
        let result = match result {
            // The budget is spent, so no other file can be read either.
            Err(Stop::Input { error, .. }) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(Stop::Archive(SkipReason::TooMuchUnpacked))
            }
            result => self.report_stop(result).map_err(Stop::Receiver),
        };
        self.name = outer_name;
        self.entry = None;
        result
    }

    /// Reads a text in any encoding.
    fn read_text(&mut self, input: &mut dyn Read) -> Result<(), Stop<E>> {
        let (head, mut input) = read_head(input, HEAD_BYTES).map_err(unreadable)?;
        // A spilled profile is no text.
        let encoding = match answer::is_spilled(&head) {
            true => None,
            false => Encoding::of(&head, self.options.encoding),
        };
        if let Some(encoding) = encoding {
            let (head, mut input) =
                read_head(encoding.decode(input), HEAD_BYTES).map_err(unreadable)?;
            return self.read_utf8(&head, &mut input);
        }
        match head.strip_prefix(UTF8_MARK) {
            None => self.read_utf8(&head, &mut input),
            Some(head) => {
                input.read_exact(&mut [0; UTF8_MARK.len()]).map_err(unreadable)?;
                self.read_utf8(head, &mut input)
            }
        }
    }

    /// Reads a text in UTF-8 that begins with `head`.
    fn read_utf8(&mut self, head: &[u8], input: &mut dyn Read) -> Result<(), Stop<E>> {
        if has_counted_messages(head) {
            let input = CountedToLines::new(input);
            let (head, mut input) = read_head(input, HEAD_BYTES).map_err(unreadable)?;
            return self.read_content(&head, &mut input);
        }
        match has_cr_lines(head) {
            true => self.read_content(&with_lf(head.to_vec()), &mut CrToLf(input)),
            false => self.read_content(head, input),
        }
    }

    /// Recognises and reads a text in UTF-8 whose lines end with LF, or with CR and LF.
    fn read_content(&mut self, head: &[u8], input: &mut dyn Read) -> Result<(), Stop<E>> {
        match sniff::content(head, &self.name) {
            // A head of white space says nothing of the text after it.
            Content::Blank if (head.len() as u64) < HEAD_BYTES => Ok(()),
            Content::Blank | Content::Unknown => self.skip(1, SkipReason::NotRecognised),
            Content::OtherFile => self.emit(1, Item::OtherFile),
            Content::Log(unwrapper) => self.read_log(input, unwrapper, false),
            Content::OtherLog(unwrapper) => self.read_log(input, unwrapper, true),
            Content::Spilled => {
                // Its two parts, each after a length of four bytes.
                let Some(bytes) = self.read_whole(input, MAX_PROFILE_BYTES + 8)? else {
                    return Ok(());
                };
                match answer::spilled_text(&bytes) {
                    Ok(text) => self.profile(1, text, false),
                    Err(reason) => self.skip(1, reason),
                }
            }
            Content::Profiles => match self.read_whole(input, MAX_PROFILE_BYTES)? {
                Some(text) => self.profiles(text, false),
                None => Ok(()),
            },
            Content::WrappedProfiles(unwrapper) => match self.read_whole(input, MAX_JSON_BYTES)? {
                Some(text) => self.profiles(unwrapper.unwrap_text(&text), false),
                None => Ok(()),
            },
            Content::Html => match self.read_whole(input, MAX_JSON_BYTES)? {
                Some(html) => {
                    let html = lossy(&html);
                    let replaced = matches!(html, Cow::Owned(_));
                    self.profiles(answer::text_of_html(&html).into_bytes(), replaced)
                }
                None => Ok(()),
            },
            Content::Table(header) => {
                let zone = self.options.zone;
                header.read(input, zone, &mut |line, item| self.emit(line, item))
            }
            Content::ClientTable(layout) => self.read_client_table(input, layout),
            Content::JsonLines => self.read_json_lines(input),
            Content::Json => self.read_json(head, input),
        }
    }

    /// Returns the whole input, or None if it is larger than `most` bytes and so was skipped.
    fn read_whole(
        &mut self,
        input: &mut dyn Read,
        most: usize,
    ) -> Result<Option<Vec<u8>>, Stop<E>> {
        let mut bytes = Vec::new();
        // One byte more shows that the input is too large.
        input.take(most as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() <= most {
            return Ok(Some(bytes));
        }
        self.skip(1, SkipReason::ProfileTooLarge)?;
        Ok(None)
    }

    /// Emits the profile of a text. `replaced` says that bytes of the text were replaced already.
    fn profile(&mut self, line: u64, text: Vec<u8>, replaced: bool) -> Result<(), Stop<E>> {
        let replaced = replaced || std::str::from_utf8(&text).is_err();
        let item = match Profile::parse(text, self.options.zone) {
            Ok(profile) => Item::Profile { profile: Box::new(profile), replaced },
            Err(error) => Item::Skipped(Skipped { line, reason: error.into() }),
        };
        self.emit(line, item)
    }

    /// Emits the profiles that a text holds.
    fn profiles(&mut self, text: Vec<u8>, replaced: bool) -> Result<(), Stop<E>> {
        let mut profiles = answer::profiles(text).peekable();
        if profiles.peek().is_none() {
            return self.skip(1, SkipReason::NotRecognised);
        }
        profiles.try_for_each(|text| self.profile(1, text, replaced))
    }
}

/// An input that cannot be read from its start.
fn unreadable<E>(error: io::Error) -> Stop<E> {
    Stop::Input { line: 1, error }
}
