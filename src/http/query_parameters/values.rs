//! The values of parameters: how each is read from its text, and how the description has it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, SchemaType};
use utoipa::openapi::{
    KnownFormat, ObjectBuilder, OneOfBuilder, RefOr, Schema, SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::reader::MAX_VALUES;
use crate::domain::baseline::Baseline;
use crate::domain::filter::{ChosenText, Cursor, QueryFilter, QueryOrder};
use crate::domain::record::Kind;
use crate::domain::statement::Fingerprint;
use crate::domain::time::{Zone, now_ms, parse_typed_time_ms};
use crate::http::error::ApiError;
use crate::store::ChangeKind;

/// The largest time in milliseconds: what a JSON number holds exactly.
const MAX_MS: i64 = (1 << 53) - 1;

/// Reads a value from its text by `parse`.
fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &expected))
}

/// A number of things, at least 1 and at most [`Count::MAX`]; `DEFAULT` if the request names none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count<const DEFAULT: u32>(pub(crate) u32);

impl<const DEFAULT: u32> Count<DEFAULT> {
    /// The largest one.
    pub(crate) const MAX: u32 = 1000;
}

impl<const DEFAULT: u32> Default for Count<DEFAULT> {
    fn default() -> Count<DEFAULT> {
        Count(DEFAULT)
    }
}

impl<'de, const DEFAULT: u32> Deserialize<'de> for Count<DEFAULT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let max = Count::<DEFAULT>::MAX;
        parsed(deserializer, &format!("a whole number from 1 to {max}"), |text| {
            text.parse().ok().filter(|count| (1..=max).contains(count)).map(Count)
        })
    }
}

/// The name of what a query was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KindName(pub(crate) Kind);

impl KindName {
    pub(crate) fn schema() -> Object {
        text().enum_values(Some(["query", "load"])).build()
    }
}

impl<'de> Deserialize<'de> for KindName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "query or load", |text| {
            let mut kinds = [Kind::Query, Kind::Load].into_iter();
            kinds.find(|kind| kind.name().eq_ignore_ascii_case(text)).map(KindName)
        })
    }
}

/// Returns the schema of a text that may be given several times.
pub(crate) fn values_schema() -> Array {
    let one = text().min_length(Some(1)).build();
    ArrayBuilder::new().items(one).min_items(Some(1)).max_items(Some(MAX_VALUES)).build()
}

/// The name of a text that is unknown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnknownText(pub(crate) ChosenText);

impl UnknownText {
    pub(crate) fn schema() -> Array {
        let one = text().enum_values(Some(ChosenText::NAMES.map(|(name, _)| name))).build();
        ArrayBuilder::new().items(one).min_items(Some(1)).max_items(Some(MAX_VALUES)).build()
    }
}

impl<'de> Deserialize<'de> for UnknownText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = ChosenText::NAMES.map(|(name, _)| name).join(", ");
        parsed(deserializer, &format!("one of {names}"), |text| {
            ChosenText::named(text).map(UnknownText)
        })
    }
}

/// The name of a kind of change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChangeName(pub(crate) ChangeKind);

impl ChangeName {
    pub(crate) fn schema() -> Array {
        let one = text().enum_values(Some(ChangeKind::ALL.map(|(_, name, _)| name))).build();
        ArrayBuilder::new().items(one).min_items(Some(1)).max_items(Some(MAX_VALUES)).build()
    }
}

impl<'de> Deserialize<'de> for ChangeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = ChangeKind::ALL.map(|(_, name, _)| name).join(", ");
        parsed(deserializer, &format!("one of {names}"), |text| {
            ChangeKind::named(text).map(ChangeName)
        })
    }
}

/// The order of a list as its parameter names it: a field, with `.asc` behind it if the smallest value comes first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrderName {
    pub(crate) by: QueryOrder,
    pub(crate) is_ascending: bool,
}

/// What the name of an ascending order ends with.
const ASCENDING: &str = ".asc";

impl OrderName {
    /// Returns the order of the lists of a filter.
    pub(crate) fn of(filter: &QueryFilter) -> OrderName {
        OrderName { by: filter.order, is_ascending: filter.is_ascending }
    }

    fn parse(text: &str) -> Option<OrderName> {
        let (field, is_ascending) = match text.strip_suffix(ASCENDING) {
            Some(field) => (field, true),
            None => (text, false),
        };
        let by = QueryOrder::ALL.into_iter().find(|order| order.field() == field)?;
        Some(OrderName { by, is_ascending })
    }

    pub(crate) fn schema() -> Object {
        let names = [false, true].into_iter().flat_map(|is_ascending| {
            QueryOrder::ALL.map(|by| OrderName { by, is_ascending }.to_string())
        });
        text().enum_values(Some(names)).build()
    }
}

impl fmt::Display for OrderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.by.field())?;
        if self.is_ascending { f.write_str(ASCENDING) } else { Ok(()) }
    }
}

impl<'de> Deserialize<'de> for OrderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = QueryOrder::ALL.map(QueryOrder::field).join(", ");
        let expected =
            format!("one of {names}, with {ASCENDING} behind it for the smallest value first");
        parsed(deserializer, &expected, OrderName::parse)
    }
}

/// The earlier period that a period is compared with.
#[derive(Debug, Deserialize)]
pub(crate) struct BaselineText(pub(crate) String);

impl BaselineText {
    /// Returns the baseline. Errors if the text is none.
    pub(crate) fn baseline(&self, zone: Zone) -> Result<Baseline, ApiError> {
        Baseline::parse(&self.0, zone).ok_or_else(|| {
            ApiError::BadRequest(match Baseline::is_reversed(&self.0, zone) {
                true => "baseline must end after it begins".to_string(),
                false => format!("baseline must be {}", Baseline::SPELLINGS),
            })
        })
    }
}

/// A fingerprint in hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FingerprintText(pub(crate) Fingerprint);

impl<'de> Deserialize<'de> for FingerprintText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map(FingerprintText).map_err(D::Error::custom)
    }
}

/// A duration in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Milliseconds(pub(crate) i64);

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a whole number of milliseconds", |text| {
            text.parse().ok().filter(|ms| (0..=MAX_MS).contains(ms)).map(Milliseconds)
        })
    }
}

/// A time in one of its spellings. A text without a zone is local to the zone in which annals writes times.
#[derive(Debug, Deserialize)]
pub(crate) struct Time(String);

impl Time {
    /// Returns the time in Unix milliseconds. Errors, in the name of the parameter, if the text is no time.
    pub(crate) fn ms(&self, name: &str, zone: Zone) -> Result<i64, ApiError> {
        parse_typed_time_ms(&self.0, zone, now_ms())
            .map_err(|error| ApiError::BadRequest(format!("{name}: {error}")))
    }

    /// Returns the schema of a time to the second or better: a text, or Unix milliseconds.
    pub(crate) fn to_the_second() -> OneOfBuilder {
        let date_time = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        let epoch_ms = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(253_402_300_799_999_i64));
        OneOfBuilder::new().item(date_time.build()).item(epoch_ms.build())
    }
}

/// The times that move with the clock.
const MOVING: &str =
    "^(now|today|yesterday|T?([01][0-9]|2[0-3]):[0-5][0-9]|[1-9][0-9]{0,3}(s|min|h|d))$";

impl ToSchema for Time {}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        let of_format = |format| text().format(Some(SchemaFormat::KnownFormat(format))).build();
        let epoch = |minimum: i64, maximum: i64| {
            let number = ObjectBuilder::new().schema_type(Type::Integer);
            number.minimum(Some(minimum)).maximum(Some(maximum)).build()
        };
        let times = OneOfBuilder::new()
            .item(of_format(KnownFormat::DateTime))
            .item(of_format(KnownFormat::Date))
            .item(text().pattern(Some(MOVING)).build())
            .item(epoch(1_000_000_000, 9_999_999_999))
            .item(epoch(100_000_000_000, 253_402_300_799_999));
        RefOr::T(times.build().into())
    }
}

/// A text that statements contain.
#[derive(Debug, Deserialize)]
pub(crate) struct SearchText(pub(crate) String);

impl ToSchema for SearchText {}

impl PartialSchema for SearchText {
    fn schema() -> RefOr<Schema> {
        RefOr::T(text().min_length(Some(1)).max_length(Some(1000)).build().into())
    }
}

/// One to 32 words, with Unicode's white space between them.
const WORDS: &str = concat!(
    r"^[\t-\r \u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]*",
    r"[^\t-\r \u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]+",
    r"([\t-\r \u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]+",
    r"[^\t-\r \u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]+){0,31}",
    r"[\t-\r \u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]*$"
);

/// Words that statements contain, with white space between them.
#[derive(Debug, Deserialize)]
pub(crate) struct SearchWords(pub(crate) String);

impl ToSchema for SearchWords {}

impl PartialSchema for SearchWords {
    fn schema() -> RefOr<Schema> {
        RefOr::T(text().max_length(Some(1000)).pattern(Some(WORDS)).build().into())
    }
}

/// Where a page of a list begins, as the `Link` header of the page before has it. The text names the order of the list: a
/// value of one field says nothing about the place in a list by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageCursor {
    pub(crate) order: OrderName,
    pub(crate) place: Cursor,
}

impl PageCursor {
    fn parse(text: &str) -> Option<PageCursor> {
        let mut parts = text.rsplitn(3, '.');
        let (id, value, order) = (parts.next()?, parts.next()?, parts.next()?);
        let value = match value {
            "none" => None,
            value => Some(value.parse().ok()?),
        };
        let place = Cursor { value, id: id.parse().ok()? };
        Some(PageCursor { order: OrderName::parse(order)?, place })
    }

    /// Returns the place in a list of this order. Errors if the cursor is of a list in another order.
    pub(crate) fn place_in(self, order: OrderName) -> Result<Cursor, ApiError> {
        if self.order == order {
            return Ok(self.place);
        }
        Err(ApiError::BadRequest(format!(
            "cursor is of a list by {}, and order is {order}; a cursor only continues its own list",
            self.order
        )))
    }
}

impl fmt::Display for PageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PageCursor { order, place: Cursor { value, id } } = self;
        match value {
            Some(value) => write!(f, "{order}.{value}.{id}"),
            None => write!(f, "{order}.none.{id}"),
        }
    }
}

impl<'de> Deserialize<'de> for PageCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        PageCursor::parse(&text).ok_or_else(|| {
            D::Error::custom("cursor must come from the Link header of the page before")
        })
    }
}

impl ToSchema for PageCursor {
    fn name() -> Cow<'static, str> {
        "Cursor".into()
    }
}

impl PartialSchema for PageCursor {
    fn schema() -> RefOr<Schema> {
        let fields = QueryOrder::ALL.map(QueryOrder::field).join("|");
        let pattern = format!("^({fields})(\\.asc)?\\.(none|-?[0-9]{{1,18}})\\.[0-9]{{1,15}}$");
        let text = text().pattern(Some(pattern));
        RefOr::T(text.build().into())
    }
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}
