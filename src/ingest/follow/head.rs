//! The start of a file, by which an audit log is recognized.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use chrono::NaiveDateTime;
use flate2::read::MultiGzDecoder;

use super::checkpoint::HEAD_BYTES;
use super::rotation::{Candidate, is_gzip};
use crate::domain::time::leading_local_time;
use crate::formats::audit_log::AuditLog;
use crate::formats::encoding::Encoding;
use crate::formats::wrapper::Unwrapper;
use crate::ingest::Source;

/// Bytes of a file that are read to recognize it.
const SNIFFED_BYTES: u64 = 1 << 20;

/// The start of an audit log.
pub(super) struct Head {
    /// At most [`HEAD_BYTES`] of the text.
    pub(super) text: Vec<u8>,
    /// The time of the first record, in the zone of the frontend.
    pub(super) first_time: Option<NaiveDateTime>,
    /// Removes the wrappers of a container's log.
    pub(super) unwrapper: Option<Unwrapper>,
}

/// A file whose encoding does not say where lines end while it grows.
#[derive(Debug, thiserror::Error)]
#[error("{} is in {encoding:?}; a followed log must be in UTF-8, annals import reads it", path.display())]
struct NotUtf8 {
    path: PathBuf,
    encoding: Encoding,
}

impl Head {
    /// Reads the start of a file. Returns `None` if the file is no audit log, or holds no record yet.
    pub(super) fn read(candidate: &Candidate, source: &Source) -> io::Result<Option<Head>> {
        let mut file = File::open(&candidate.path)?.take(SNIFFED_BYTES);
        let mut text = Vec::new();
        if is_gzip(&candidate.path) {
            // Half a compressed file has a start too.
            let _ = MultiGzDecoder::new(file).take(SNIFFED_BYTES).read_to_end(&mut text);
        } else {
            file.read_to_end(&mut text)?;
        }
        let unwrapper = Unwrapper::detect(&text);
        let is_log = match &unwrapper {
            // A container may write much before its first record.
            Some(unwrapper) => unwrapper.is_certain() || unwrapper.clone().finds_record(&text),
            None => AuditLog::sniff(&text),
        };
        if !is_log {
            if let Some(encoding) = Encoding::of(&text, None) {
                source.failed(&NotUtf8 { path: candidate.path.clone(), encoding });
            }
            return Ok(None);
        }
        let mut lines = text.split(|byte| *byte == b'\n');
        let first_time = lines.find_map(|line| Some(leading_local_time(line)?.0));
        text.truncate(HEAD_BYTES);
        text.shrink_to_fit();
        Ok(Some(Head { text, first_time, unwrapper }))
    }
}
