//! Packed inputs: gzip, and the files within zip and tar archives.
//!
//! Everything is unpacked while it is read. An archive within an archive is not opened, and the unpacked size of an
//! archive is limited, so a small file cannot keep annals busy for ever.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};

use super::SkipReason;

/// The largest unpacked size of all files of one archive, in bytes.
pub(crate) const MAX_UNPACKED_BYTES: u64 = 64 << 30;

/// The largest zip archive that is read from a pipe, in bytes. It is copied first, for zip needs a file to seek in.
const MAX_COPIED_BYTES: u64 = 16 << 30;

/// Archives up to this size are copied into memory, in bytes; larger ones into a temporary file.
const COPIED_IN_MEMORY_BYTES: usize = 8 << 20;

/// How many bytes of an input [`Packing::of`] needs.
pub(super) const MAGIC_BYTES: u64 = 512;

/// The longest file name that is shown, in bytes.
const MAX_NAME_BYTES: usize = 400;

/// The format in which an input is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zip,
    Tar,
    /// A format that annals does not unpack.
    Unknown,
}

impl Packing {
    /// Returns the format of a packed input by its first bytes, or None if the input is not packed.
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

/// A file within an archive, or why it cannot be read.
pub(super) type ArchiveFile<'a> = Result<&'a mut dyn Read, SkipReason>;

/// Returns a seekable copy of an archive: in memory, or in a temporary file that is deleted at the end.
///
/// Errors if the input cannot be read or is larger than 16 GiB.
pub(super) fn seekable_copy(input: &mut dyn Read) -> io::Result<impl Read + Seek + use<>> {
    let mut copy = tempfile::SpooledTempFile::new(COPIED_IN_MEMORY_BYTES);
    let bytes = io::copy(&mut input.take(MAX_COPIED_BYTES + 1), &mut copy)?;
    if bytes > MAX_COPIED_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(copy)
}

/// Calls `emit` with the name of each file of a zip archive and the file, in the order of the archive's directory.
///
/// Errors if the archive itself cannot be read, or as `emit` does.
pub(super) fn zip<E: From<SkipReason>>(
    mut archive: impl Read + Seek,
    emit: &mut dyn FnMut(String, ArchiveFile<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let damaged = |_| SkipReason::Damaged;
    let archive_bytes = archive.seek(SeekFrom::End(0)).map_err(|_| SkipReason::Damaged)?;
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_seekable(archive, &mut buffer).map_err(damaged)?;
    let mut entries = archive.entries(&mut buffer);
    // Files that share their bytes make a small archive unpack to any size. In an honest archive all files together are
    // no larger than the archive.
    let mut packed_bytes: u64 = 0;
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        if entry.is_dir() {
            continue;
        }
        let name = printable_name(entry.file_path().as_ref());
        if is_desktop_file(&name) {
            continue;
        }
        packed_bytes = packed_bytes.saturating_add(entry.compressed_size_hint());
        if packed_bytes > archive_bytes {
            return Err(SkipReason::Damaged.into());
        }
        let method = entry.compression_method();
        if entry.flags().is_encrypted() {
            emit(name, Err(SkipReason::Encrypted))?;
            continue;
        }
        let Ok(entry) = archive.get_entry(entry.wayfinder()) else {
            emit(name, Err(SkipReason::Damaged))?;
            continue;
        };
        let packed = BufReader::with_capacity(1 << 16, entry.reader());
        // The checksum at the end shows whether the file is whole.
        match method {
            CompressionMethod::STORE => emit(name, Ok(&mut entry.verifying_reader(packed)))?,
            CompressionMethod::DEFLATE => {
                emit(name, Ok(&mut entry.verifying_reader(DeflateDecoder::new(packed))))?;
            }
            _ => emit(name, Err(SkipReason::UnknownPacking))?,
        }
    }
    Ok(())
}

/// Calls `emit` with the name of each file of a tar archive and the file, in the order of the archive.
///
/// Errors if the archive itself cannot be read, or as `emit` does.
pub(super) fn tar<E: From<SkipReason>>(
    archive: &mut dyn Read,
    emit: &mut dyn FnMut(String, ArchiveFile<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let damaged = |_| SkipReason::Damaged;
    let mut archive = tar::Archive::new(archive);
    // Raw: else the library reads names into memory however long they are.
    let entries = archive.entries().map_err(damaged)?.raw(true);
    let mut long_name = None;
    for entry in entries {
        let mut entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            let mut name = Vec::new();
            entry.by_ref().take(4096).read_to_end(&mut name).map_err(damaged)?;
            let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            long_name = Some(printable_name(&name[..end]));
        } else if kind.is_file() {
            let name =
                long_name.take().unwrap_or_else(|| printable_name(&entry.header().path_bytes()));
            if !is_desktop_file(&name) {
                emit(name, Ok(&mut entry))?;
            }
        }
    }
    Ok(())
}

/// Returns the name of a file as text that can be printed, only its end if it is long.
fn printable_name(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(&name[name.len().saturating_sub(MAX_NAME_BYTES)..]);
    name.chars().map(|sign| if sign.is_control() { '\u{fffd}' } else { sign }).collect()
}

/// Returns whether macOS added the file, and not the person who packed the archive.
fn is_desktop_file(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("__MACOSX/") || last.starts_with("._") || last == ".DS_Store"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packings_are_known_by_their_first_bytes() {
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
