//! The encodings of files. Every text becomes UTF-8 while it is read.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::str::FromStr;

use encoding_rs_io::DecodeReaderBytesBuilder;

/// How much of an input is searched for UTF-16 without a byte-order mark, in bytes.
const SAMPLE_BYTES: usize = 4096;

/// An encoding of text. It parses from a name of the WHATWG Encoding Standard: `gbk`, `gb18030`, `utf-16le`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding(&'static encoding_rs::Encoding);

/// A name that is no encoding's.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not the name of an encoding; use one like gbk, gb18030, big5, utf-16le or utf-8")]
pub(crate) struct UnknownEncoding(String);

impl FromStr for Encoding {
    type Err = UnknownEncoding;

    fn from_str(name: &str) -> Result<Encoding, UnknownEncoding> {
        let encoding = encoding_rs::Encoding::for_label(name.as_bytes());
        encoding.map(Encoding).ok_or_else(|| UnknownEncoding(name.to_string()))
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Encoding {
    /// Returns the encoding of an input that begins with `head`: that of its byte-order mark, else the `configured` one,
    /// else UTF-16 if nearly every second byte is zero. None is UTF-8.
    pub(crate) fn of(head: &[u8], configured: Option<Encoding>) -> Option<Encoding> {
        let marked = encoding_rs::Encoding::for_bom(head).map(|(encoding, _)| Encoding(encoding));
        let encoding = marked.or(configured).or_else(|| utf16_without_mark(head))?;
        (encoding.0 != encoding_rs::UTF_8).then_some(encoding)
    }

    /// Returns a reader of `input` as UTF-8, without its byte-order mark. Bytes that cannot be decoded become U+FFFD.
    pub(crate) fn decode<R: Read>(self, input: R) -> impl Read + use<R> {
        let mut builder = DecodeReaderBytesBuilder::new();
        builder.encoding(Some(self.0)).bom_override(true).strip_bom(true);
        builder.build(input)
    }
}

/// Returns UTF-16 of the right byte order if `head` is UTF-16 and mostly ASCII, as logs and profiles are.
fn utf16_without_mark(head: &[u8]) -> Option<Encoding> {
    let sample = &head[..head.len().min(SAMPLE_BYTES) & !1];
    let pairs = sample.len() / 2;
    let zeros =
        |from: usize| sample.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    if pairs < 8 {
        return None;
    }
    match (first * 10 >= pairs * 7, second * 10 >= pairs * 7) {
        (true, false) if second * 100 <= pairs => Some(Encoding(encoding_rs::UTF_16BE)),
        (false, true) if first * 100 <= pairs => Some(Encoding(encoding_rs::UTF_16LE)),
        _ => None,
    }
}

/// Returns a text in which bytes that are not UTF-8 are replaced with U+FFFD; it is owned only if some were. Nearly all
/// texts are UTF-8, which `from_utf8` confirms faster than `from_utf8_lossy`.
pub(super) fn lossy(text: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], name: Option<&str>) -> String {
        let mut text = String::new();
        match Encoding::of(bytes, name.map(|name| name.parse().unwrap())) {
            Some(encoding) => encoding.decode(bytes).read_to_string(&mut text).unwrap(),
            None => return String::from_utf8_lossy(bytes).into_owned(),
        };
        text
    }

    fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
        let mark = mark.then_some(0xfeff_u16);
        let units = mark.into_iter().chain(text.encode_utf16());
        units
            .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
            .collect()
    }

    #[test]
    fn utf16_is_known_by_its_mark_or_its_zeros() {
        let text = "2026-03-01 10:00:00,000 [query] |Client=10.0.0.1:5000|User=mira|Ctl=internal\
        |Db=shop|State=EOF|ErrorCode=0|ErrorMessage=|Time(ms)=12|ScanBytes=0|ScanRows=0|ReturnRows=1|StmtId=1\
        |QueryId=a-1|IsQuery=true|isNereids=true|feIp=10.0.0.2|StmtType=SELECT|Stmt=select '北京'|CpuTimeMS=3|ShuffleSendBytes=0|ShuffleSendRows=0\
        |SqlHash=5f0c|peakMemoryBytes=2048|SqlDigest=|cloudClusterName=UNKNOWN|TraceId=|WorkloadGroup=normal\
        |FuzzyVariables=|scanBytesFromLocalStorage=0|scanBytesFromRemoteStorage=0\r\n";
        for little in [true, false] {
            for mark in [true, false] {
                assert_eq!(decoded(&utf16(text, little, mark), None), text, "{little} {mark}");
            }
        }
        assert_eq!(decoded(text.as_bytes(), None), text);
        // A mark overrides the configured encoding.
        assert_eq!(decoded(&utf16(text, true, true), Some("gbk")), text);
        assert_eq!(Encoding::of(&[0; 100], None), None);
    }

    #[test]
    fn chinese_encodings_are_chosen_by_name() {
        let text = "select '北京', '上海' from 订单";
        for (name, encoding) in [("gbk", encoding_rs::GBK), ("GB18030", encoding_rs::GB18030)] {
            let (bytes, _, _) = encoding.encode(text);
            assert_eq!(decoded(&bytes, Some(name)), text);
        }
        // Only GB18030 has characters of four bytes.
        assert_eq!(decoded(b"\x81\x30\x81\x30", Some("gb18030")), "\u{80}");
        assert!("gbkk".parse::<Encoding>().unwrap_err().to_string().contains("gbkk"));
        assert_eq!(Encoding::of(b"a", Some("utf-8".parse().unwrap())), None);
    }
}
