//! The envelope of a frontend's answer: a code beside the data.

use serde_json::{Map, Value};

/// An answer without its envelope.
pub(super) enum Envelope {
    Data(Value),
    /// The code of an error.
    Rejected(i64),
    /// The answer is not one of a frontend.
    None,
}

impl Envelope {
    /// Takes an answer out of the envelope of Doris, or of that of StarRocks' newer paths. StarRocks also sends a bare
    /// list.
    pub(super) fn read(body: &[u8]) -> Envelope {
        let mut answer = match serde_json::from_slice(body) {
            Ok(Value::Object(answer)) => answer,
            Ok(list @ Value::Array(_)) => return Envelope::Data(list),
            _ => return Envelope::None,
        };
        match take_envelope(&mut answer) {
            Some((0, Some(data))) => Envelope::Data(data),
            Some((code, _)) if code != 0 => Envelope::Rejected(code),
            _ => Envelope::None,
        }
    }
}

/// Takes the code and the data out of an answer's envelope, or returns None if the answer has none. Doris has `data`,
/// StarRocks' newer paths `result`, with a code that is text.
pub(in crate::formats) fn take_envelope(
    answer: &mut Map<String, Value>,
) -> Option<(i64, Option<Value>)> {
    let code = match answer.get("code")? {
        Value::String(text) => text.trim().parse().ok()?,
        code => code.as_i64()?,
    };
    Some((code, answer.remove("data").or_else(|| answer.remove("result"))))
}
