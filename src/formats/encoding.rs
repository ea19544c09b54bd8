//! The encodings that files come in. All that annals reads becomes UTF-8 while it is read.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use encoding_rs_io::DecodeReaderBytesBuilder;

/// How much of an input is looked at to tell UTF-16 without a byte-order mark.
const SAMPLE_BYTES: usize = 4096;

/// An encoding of text, by one of the names of the WHATWG Encoding Standard: `gbk`, `gb18030`, `utf-16le`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Encoding(&'static encoding_rs::Encoding);

/// Why a name is not one of an encoding.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} is not the name of an encoding; names are gbk, gb18030, big5, utf-16le, utf-8 and the like"
)]
pub struct UnknownEncoding(String);

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
    /// Returns the encoding of an input that begins with `head`: what its byte-order mark says, then what was
    /// `told`, then UTF-16 if nearly every second byte is zero. None is UTF-8.
    pub fn of(head: &[u8], told: Option<Encoding>) -> Option<Encoding> {
        let marked = encoding_rs::Encoding::for_bom(head).map(|(encoding, _)| Encoding(encoding));
        let encoding = marked.or(told).or_else(|| utf16_without_mark(head))?;
        (encoding.0 != encoding_rs::UTF_8).then_some(encoding)
    }

    /// Reads `input` as UTF-8, without its byte-order mark. What cannot be decoded becomes U+FFFD.
    pub fn decode<R: Read>(self, input: R) -> impl Read + use<R> {
        let mut builder = DecodeReaderBytesBuilder::new();
        builder.encoding(Some(self.0)).bom_override(true).strip_bom(true);
        builder.build(input)
    }
}

/// UTF-16 whose text is mostly ASCII, as logs and profiles are.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], told: Option<&str>) -> String {
        let mut text = String::new();
        match Encoding::of(bytes, told.map(|name| name.parse().unwrap())) {
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
    fn utf16_is_told_by_its_mark_or_its_zeros() {
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
        // A mark goes over what was told.
        assert_eq!(decoded(&utf16(text, true, true), Some("gbk")), text);
        assert_eq!(Encoding::of(&[0; 100], None), None);
    }

    #[test]
    fn chinese_encodings_are_told_by_name() {
        let text = "select '北京', '上海' from 订单";
        for (name, encoding) in [("gbk", encoding_rs::GBK), ("GB18030", encoding_rs::GB18030)] {
            let (bytes, _, _) = encoding.encode(text);
            assert_eq!(decoded(&bytes, Some(name)), text);
        }
        // Four bytes for a character are GB18030's own.
        assert_eq!(decoded(b"\x81\x30\x81\x30", Some("gb18030")), "\u{80}");
        assert!("gbkk".parse::<Encoding>().unwrap_err().to_string().contains("gbkk"));
        assert_eq!(Encoding::of(b"a", Some("utf-8".parse().unwrap())), None);
    }
}
