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

/// Returns a record without the character; None if it has none, as nearly all records.
fn replaced(record: &QueryRecord) -> Option<QueryRecord> {
    let (fields, of_load) = (record.values(), record.load.as_deref().map(Load::values));
    if !has_nul(&fields) && !of_load.as_ref().is_some_and(|values| has_nul(values)) {
        return None;
    }
    let Ok(mut replaced) = QueryRecord::of_values(Texts::of(&fields).next());
    // JSON writes the character as an escape.
    replaced.extra = record.extra.clone();
    replaced.zoned = record.zoned;
    replaced.load = of_load.map(|values| {
        let Ok(load) = Load::of_values(Texts::of(&values).next());
        Box::new(load)
    });
    Some(replaced)
}

fn has_nul(values: &[FieldValue<'_>]) -> bool {
    let has_nul = |value: &FieldValue<'_>| match value {
        FieldValue::Text(text) | FieldValue::Json(text) => text.contains('\0'),
        _ => false,
    };
    values.iter().any(has_nul)
}

/// The values of a record, with their texts without the character.
struct Texts<'v> {
    values: Vec<(FieldValue<'v>, Cow<'v, str>)>,
}

impl<'v> Texts<'v> {
    fn of(values: &[FieldValue<'v>]) -> Texts<'v> {
        let values = values.iter().map(|value| match value {
            FieldValue::Text(text) | FieldValue::Json(text) => (*value, without_nul(text)),
            _ => (*value, Cow::default()),
        });
        Texts { values: values.collect() }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::{Kind, Origin};

    #[test]
    fn only_a_record_with_the_character_is_made_anew() {
        let mut record = QueryRecord::new("1-2".parse().unwrap(), Kind::Load, Origin::Audit);
        (record.scan_rows, record.user) = (Some(3), Some("alice".to_string()));
        record.load = Some(Box::default());
        assert_eq!(replaced(&record), None);
        record.user = Some("al\0ice".to_string());
        let of_user = replaced(&record).unwrap();
        assert_eq!((of_user.user.as_deref(), of_user.scan_rows), (Some("al\u{fffd}ice"), Some(3)));
        record.user = None;
        record.load = Some(Box::new(Load { label: Some("\0".to_string()), ..Load::default() }));
        assert_eq!(replaced(&record).unwrap().load.unwrap().label.as_deref(), Some("\u{fffd}"));
    }
}
