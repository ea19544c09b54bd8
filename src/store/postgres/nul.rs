//! The character NUL, which PostgreSQL refuses in a text, becomes U+FFFD.

use std::borrow::Cow;

use crate::domain::record::{FieldValue, Load, QueryRecord};
use crate::store::batch::Batch;

/// Returns a text without the character.
pub(super) fn without_nul(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

/// Replaces the character in the records of a batch, before they are compared with stored ones.
pub(super) fn replace_nul(batch: &mut Batch) {
    let Batch { records, profiles, statements, .. } = batch;
    let records = records.iter_mut().map(|(record, fingerprint)| (record, fingerprint));
    let summaries = profiles.iter_mut().map(|it| (&mut it.summary, &mut it.fingerprint));
    for (record, fingerprint) in records.chain(summaries) {
        if let Some(replaced) = replaced(record) {
            *record = replaced;
            *fingerprint = statements.add(record);
        }
    }
}

/// Returns a record without the character; None if it has none.
fn replaced(record: &QueryRecord) -> Option<QueryRecord> {
    let fields = Texts::of(record.values());
    let of_load = record.load.as_deref().map(|load| Texts::of(load.values()));
    let has_nul = fields.has_nul || of_load.as_ref().is_some_and(|texts| texts.has_nul);
    if !has_nul {
        return None;
    }
    let Ok(mut replaced) = QueryRecord::of_values(fields.next());
    // JSON writes the character as an escape.
    replaced.extra = record.extra.clone();
    replaced.zoned = record.zoned;
    replaced.load = of_load.map(|texts| {
        let Ok(load) = Load::of_values(texts.next());
        Box::new(load)
    });
    Some(replaced)
}

/// The values of a record, with their texts without the character.
struct Texts<'v> {
    values: Vec<(FieldValue<'v>, Cow<'v, str>)>,
    has_nul: bool,
}

impl<'v> Texts<'v> {
    fn of(values: impl IntoIterator<Item = FieldValue<'v>>) -> Texts<'v> {
        let values = values.into_iter().map(|value| match value {
            FieldValue::Text(text) | FieldValue::Json(text) => (value, without_nul(text)),
            // Not the default, which is an owned text.
            _ => (value, Cow::Borrowed("")),
        });
        let values: Vec<_> = values.collect();
        let has_nul = values.iter().any(|(_, text)| matches!(text, Cow::Owned(_)));
        Texts { values, has_nul }
    }

    /// Returns what gives the values one after the other.
    fn next<'t>(
        &'t self,
    ) -> impl FnMut() -> Result<FieldValue<'t>, std::convert::Infallible> + use<'t, 'v> {
        let mut values = self.values.iter();
        move || {
            Ok(match values.next() {
                Some((FieldValue::Text(_), text)) => FieldValue::Text(text),
                Some((FieldValue::Json(_), text)) => FieldValue::Json(text),
                Some((value, _)) => *value,
                None => FieldValue::Unknown,
            })
        }
    }
}
