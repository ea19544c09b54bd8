//! Bodies that have a stored text in some form. Those of a large text are made while they are sent.

use std::io;

use warp::hyper::body::Bytes;

use super::answer::AnswerBody;
use crate::domain::profile::lossy;
use crate::store::StoredText;

/// Appends a text in the form of a body.
pub(crate) type Encode = fn(&str, &mut Vec<u8>);

/// Returns a text byte for byte.
pub(crate) fn bare(text: StoredText) -> AnswerBody {
    match text {
        StoredText::Unpacked(text) => Bytes::from(text).into(),
        text @ StoredText::Packed { .. } => {
            AnswerBody::chunks(text.chunks().map(|chunk| chunk.map(Bytes::from)))
        }
    }
}

/// Returns `head`, the text as `encode` writes it, and `tail`. Bytes that are not UTF-8 become U+FFFD. `encode` must write
/// a text in parts as it writes the whole.
pub(crate) fn encoded(
    head: &'static [u8],
    text: StoredText,
    encode: Encode,
    tail: &'static [u8],
) -> AnswerBody {
    match text {
        StoredText::Unpacked(text) => {
            let mut body = head.to_vec();
            encode(&lossy(&text), &mut body);
            body.extend_from_slice(tail);
            Bytes::from(body).into()
        }
        text @ StoredText::Packed { .. } => {
            let mut parts = Utf8Parts::default();
            let mut chunks = text.chunks();
            let mut is_done = false;
            let encoded = std::iter::from_fn(move || {
                let mut encoded = Vec::new();
                match chunks.next() {
                    Some(Ok(chunk)) => encode(&lossy(&parts.push(chunk)), &mut encoded),
                    Some(Err(error)) => {
                        is_done = true;
                        return Some(Err(error));
                    }
                    None if is_done => return None,
                    None => {
                        is_done = true;
                        encode(&lossy(&parts.cut), &mut encoded);
                        encoded.extend_from_slice(tail);
                    }
                }
                Some(Ok(Bytes::from(encoded)))
            });
            let head = std::iter::once(Ok::<_, io::Error>(Bytes::from_static(head)));
            AnswerBody::chunks(head.chain(encoded))
        }
    }
}

/// Appends a text as it is within a JSON string.
pub(crate) fn write_json_string(text: &str, into: &mut Vec<u8>) {
    let json = serde_json::Value::from(text).to_string();
    into.extend_from_slice(json.as_bytes().get(1..json.len() - 1).unwrap_or_default());
}

/// Divides a text between characters.
#[derive(Default)]
struct Utf8Parts {
    /// The first bytes of a character whose other bytes are still to come.
    cut: Vec<u8>,
}

impl Utf8Parts {
    /// Returns the bytes that were cut before and those of `chunk`, without a character that is cut at its end.
    fn push(&mut self, chunk: Vec<u8>) -> Vec<u8> {
        let mut part = std::mem::take(&mut self.cut);
        part.extend(chunk);
        // A character has four bytes at most, and the first one says how many.
        let is_cut = |back: usize| match part.len().checked_sub(back).map(|at| part[at]) {
            Some(0xc0..=0xdf) => back < 2,
            Some(0xe0..=0xef) => back < 3,
            Some(0xf0..=0xf7) => back < 4,
            _ => false,
        };
        if let Some(back) = (1..4).find(|back| is_cut(*back)) {
            self.cut = part.split_off(part.len() - back);
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_in_parts_is_read_as_the_whole(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x80..=0xf5_u8], 0..60),
            text in "[a\u{e9}\u{8a02}\u{1f600}]{0,20}",
            size in 1_usize..7,
        ) {
            for bytes in [bytes, text.into_bytes()] {
                let mut parts = Utf8Parts::default();
                let mut read = String::new();
                for chunk in bytes.chunks(size) {
                    read.push_str(&lossy(&parts.push(chunk.to_vec())));
                }
                read.push_str(&lossy(&parts.cut));
                prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
            }
        }

        #[test]
        fn a_json_string_is_written(text in "\\PC{0,20}[\"\\\\\n\u{1}]{0,3}") {
            let mut json = b"\"".to_vec();
            write_json_string(&text, &mut json);
            json.push(b'"');
            prop_assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
        }
    }
}
