//! Packed inputs: what a file is packed with, and the entries of zip and tar archives.
//!
//! Everything is unpacked while it is read. An archive within an archive is not followed, and what an archive
//! unpacks to is bounded, so a small file cannot keep annals busy for ever.

use std::cell::Cell;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};

use super::SkipReason;

/// The most that the entries of one archive may unpack to, in bytes.
pub(crate) const MAX_UNPACKED_BYTES: u64 = 64 << 30;

/// The most that is copied of an archive that comes through a pipe, in bytes; zip needs a file to jump in.
const MAX_COPIED_BYTES: u64 = 16 << 30;

/// Archives up to this size are copied into memory.
const COPIED_IN_MEMORY_BYTES: usize = 8 << 20;

/// How many first bytes tell what an input is packed with.
pub(super) const MAGIC_BYTES: u64 = 512;

/// The longest name of an entry that is shown, in bytes.
const MAX_NAME_BYTES: usize = 400;

/// What an input is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zip,
    Tar,
    /// Something that annals does not unpack.
    Unknown,
}

impl Packing {
    /// Returns what an input is packed with, by its first bytes; None where it is not packed.
    pub(super) fn of(magic: &[u8]) -> Option<Packing> {
        const UNKNOWN: [&[u8]; 6] = [
            b"\x28\xb5\x2f\xfd",   // zstd
            b"\xfd7zXZ\0",         // xz
            b"BZh",                // bzip2
            b"7z\xbc\xaf\x27\x1c", // 7-Zip
            b"Rar!\x1a\x07",       // RAR
            b"\x04\x22\x4d\x18",   // LZ4
        ];
        if magic.starts_with(b"\x1f\x8b") {
            Some(Packing::Gzip)
        } else if magic.starts_with(b"PK\x03\x04") || magic.starts_with(b"PK\x05\x06") {
            Some(Packing::Zip)
        } else if magic.get(257..262) == Some(b"ustar") {
            Some(Packing::Tar)
        } else if UNKNOWN.iter().any(|start| magic.starts_with(start)) {
            Some(Packing::Unknown)
        } else {
            None
        }
    }
}

/// How far the entries of an archive have been unpacked.
pub(super) struct Budget(Cell<u64>);

impl Budget {
    pub(super) fn new(bytes: u64) -> Budget {
        Budget(Cell::new(bytes))
    }

    /// Reads `input` as long as the budget lasts.
    pub(super) fn bounded<'a, R: Read>(&'a self, input: R) -> impl Read + use<'a, R> {
        Bounded { input, budget: self }
    }

    fn is_spent(&self) -> bool {
        self.0.get() == 0
    }
}

struct Bounded<'a, R> {
    input: R,
    budget: &'a Budget,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.budget.is_spent() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let left = self.budget.0.get();
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let length = self.input.read(&mut buffer[..most])?;
        self.budget.0.set(left - length as u64);
        Ok(length)
    }
}

/// An entry that cannot be read, or one that can.
pub(super) type Entry<'a> = Result<&'a mut dyn Read, SkipReason>;

/// Copies an archive that cannot be jumped in to where it can: memory, or a file that is deleted at the end.
pub(super) fn copied(input: &mut dyn Read) -> io::Result<impl Read + Seek + use<>> {
    let mut copy = tempfile::SpooledTempFile::new(COPIED_IN_MEMORY_BYTES);
    let bytes = io::copy(&mut input.take(MAX_COPIED_BYTES + 1), &mut copy)?;
    if bytes > MAX_COPIED_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(copy)
}

/// Hands each file of a zip archive to `entry` with its name, in the order of the archive's directory.
///
/// Errors where the archive itself cannot be read, or as `entry` does.
pub(super) fn zip<E: From<SkipReason>>(
    mut archive: impl Read + Seek,
    entry: &mut dyn FnMut(String, Entry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let damaged = |_| SkipReason::Damaged;
    let archive_bytes = archive.seek(SeekFrom::End(0)).map_err(|_| SkipReason::Damaged)?;
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_seekable(archive, &mut buffer).map_err(damaged)?;
    let mut entries = archive.entries(&mut buffer);
    // Entries that share their bytes make a small archive unpack to anything: together they are never larger
    // than the archive.
    let mut packed_bytes: u64 = 0;
    while let Some(found) = entries.next_entry().map_err(damaged)? {
        if found.is_dir() {
            continue;
        }
        let name = shown(found.file_path().as_ref());
        if is_of_the_system(&name) {
            continue;
        }
        packed_bytes = packed_bytes.saturating_add(found.compressed_size_hint());
        if packed_bytes > archive_bytes {
            return Err(SkipReason::Damaged.into());
        }
        let method = found.compression_method();
        if found.flags().is_encrypted() {
            entry(name, Err(SkipReason::Encrypted))?;
            continue;
        }
        let Ok(found) = archive.get_entry(found.wayfinder()) else {
            entry(name, Err(SkipReason::Damaged))?;
            continue;
        };
        let packed = BufReader::with_capacity(1 << 16, found.reader());
        // The checksum tells at the end whether all of it came as it was.
        match method {
            CompressionMethod::STORE => entry(name, Ok(&mut found.verifying_reader(packed)))?,
            CompressionMethod::DEFLATE => {
                entry(name, Ok(&mut found.verifying_reader(DeflateDecoder::new(packed))))?;
            }
            _ => entry(name, Err(SkipReason::UnknownPacking))?,
        }
    }
    Ok(())
}

/// Hands each file of a tar archive to `entry` with its name, in the order of the archive.
///
/// Errors where the archive itself cannot be read, or as `entry` does.
pub(super) fn tar<E: From<SkipReason>>(
    archive: &mut dyn Read,
    entry: &mut dyn FnMut(String, Entry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let damaged = |_| SkipReason::Damaged;
    let mut archive = tar::Archive::new(archive);
    // Raw, for else the names of entries are read into memory however long they are.
    let entries = archive.entries().map_err(damaged)?.raw(true);
    let mut long_name = None;
    for found in entries {
        let mut found = found.map_err(damaged)?;
        let kind = found.header().entry_type();
        if kind.is_gnu_longname() {
            let mut name = Vec::new();
            found.by_ref().take(4096).read_to_end(&mut name).map_err(damaged)?;
            let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            long_name = Some(shown(&name[..end]));
        } else if kind.is_file() {
            let name = long_name.take().unwrap_or_else(|| shown(&found.header().path_bytes()));
            if !is_of_the_system(&name) {
                entry(name, Ok(&mut found))?;
            }
        }
    }
    Ok(())
}

/// The name of an entry as text that can be printed, its end if it is long.
fn shown(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(&name[name.len().saturating_sub(MAX_NAME_BYTES)..]);
    name.chars().map(|sign| if sign.is_control() { '\u{fffd}' } else { sign }).collect()
}

/// Whether a file was made by a desktop rather than by who packed the archive.
fn is_of_the_system(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("__MACOSX/") || last.starts_with("._") || last == ".DS_Store"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends_with_an_error() {
        let budget = Budget::new(10);
        let mut text = Vec::new();
        let error = budget.bounded(&[7_u8; 100][..]).take(20).read_to_end(&mut text).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(budget.is_spent());
    }

    #[test]
    fn packings_are_told_by_their_first_bytes() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (magic, packing) in [
            (&b"\x1f\x8b\x08"[..], Some(Packing::Gzip)),
            (b"PK\x03\x04", Some(Packing::Zip)),
            (b"PK\x05\x06", Some(Packing::Zip)),
            (&tar, Some(Packing::Tar)),
            (b"BZh9", Some(Packing::Unknown)),
            (b"2026-03-01", None),
            (b"", None),
        ] {
            assert_eq!(Packing::of(magic), packing);
        }
    }
}
