//! `/api/v1/openapi.json`: the interface of annals' own, described. The description is made from the routes'
//! own types and notes, so that it cannot fall behind them.

use utoipa::openapi::schema::{Object, SchemaType};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    Content, KnownFormat, ObjectBuilder, OneOfBuilder, Ref, RefOr, Response, Schema, SchemaFormat,
    SecurityRequirement, Type,
};
use utoipa::{Modify, OpenApi, PartialSchema, ToSchema};

use crate::http::answer::Answer;
use crate::http::answer::json;
use crate::http::doris::envelope::Envelope;
use crate::http::error::ApiError;
use crate::http::{push, queries, statements, status};
use warp::http::StatusCode;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "annals",
        description = "The query history that Apache Doris does not keep. Every answer but the text of a \
            profile is an envelope: `msg`, `code` (0 where it went well), `data` and `count`."
    ),
    paths(
        queries::list, queries::one, queries::profile, queries::profile_tree, push::queries,
        push::profile, statements::statements, statements::timeline, status::report
    ),
    components(schemas(Envelope<String>, Cursor, QueryIdText, SearchText, SearchWords, Time, Row, ProfileText)),
    modifiers(&Common)
)]
struct Description;

/// What every operation has.
struct Common;

impl Modify for Common {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
        description.components.get_or_insert_default().add_security_scheme("basic", basic);
        let basic = SecurityRequirement::new("basic", [] as [&str; 0]);
        // A history without users asks nobody who they are.
        description.security = Some(vec![basic, SecurityRequirement::default()]);
        let refusal = |description: &str| {
            let refused = Content::new(Some(Ref::from_schema_name("Envelope_String")));
            let response = Response::builder().description(description);
            RefOr::T(response.content("application/json", refused).build())
        };
        for (path, item) in &mut description.paths.paths {
            let all = [&mut item.get, &mut item.put, &mut item.post];
            for operation in all.into_iter().flatten() {
                let pushes = operation.request_body.is_some();
                let mut add = |status: &str, description: &str| {
                    operation.responses.responses.insert(status.into(), refusal(description));
                };
                add("400", "the request cannot be understood");
                add("401", "nobody knows who asks");
                add("403", "who asks may not");
                add("500", "something failed; the log of annals says what");
                add("503", "annals is busy; ask again later");
                if path.contains('{') {
                    add("404", "it is not known");
                }
                if pushes {
                    add("408", "the body came too slowly");
                    add("413", "the body is too large");
                }
            }
        }
    }
}

/// The description.
pub(crate) fn description() -> Result<Answer, ApiError> {
    json(StatusCode::OK, Description::openapi())
}

/// What [`crate::domain::record::QueryId`] takes, as a regular expression.
const QUERY_ID: &str = r"^[^\s\x00-\x1f\x7f-\x9f]{1,128}$";

/// A query id in a path.
pub(crate) struct QueryIdText;

impl ToSchema for QueryIdText {}

impl PartialSchema for QueryIdText {
    fn schema() -> RefOr<Schema> {
        let text = text().pattern(Some(QUERY_ID));
        RefOr::T(text.build().into())
    }
}

/// A text that is looked for.
pub(crate) struct SearchText;

impl ToSchema for SearchText {}

impl PartialSchema for SearchText {
    fn schema() -> RefOr<Schema> {
        RefOr::T(text().min_length(Some(1)).max_length(Some(1000)).build().into())
    }
}

/// Has something other than Unicode's white space, which is_enabled between words.
const NOT_ALL_SPACE: &str =
    r"[^\t-\r \u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]";

/// Words that are looked for, with spaces between them.
pub(crate) struct SearchWords;

impl ToSchema for SearchWords {}

impl PartialSchema for SearchWords {
    fn schema() -> RefOr<Schema> {
        RefOr::T(text().max_length(Some(1000)).pattern(Some(NOT_ALL_SPACE)).build().into())
    }
}

/// The place of a page.
pub(crate) struct Cursor;

impl ToSchema for Cursor {}

impl PartialSchema for Cursor {
    fn schema() -> RefOr<Schema> {
        let text = text().pattern(Some("^(none|-?[0-9]{1,15})\\.[0-9]{1,15}$"));
        RefOr::T(text.build().into())
    }
}

/// A time, in one of its spellings. A text without a zone is local to the zone that annals writes in.
pub(crate) struct Time;

impl ToSchema for Time {}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        let date = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)));
        RefOr::T(instant().item(date.build()).build().into())
    }
}

/// A time to the second or better: a text, or Unix milliseconds.
fn instant() -> OneOfBuilder {
    let date_time = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    let epoch_ms = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(253_402_300_799_999_i64));
    OneOfBuilder::new().item(date_time.build()).item(epoch_ms.build())
}

/// A query that is pushed.
pub(crate) struct Row;

impl ToSchema for Row {}

impl PartialSchema for Row {
    fn schema() -> RefOr<Schema> {
        let id = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Number]))
            .pattern(Some(QUERY_ID))
            .description(Some("an opaque token, as Doris writes it"));
        let row = ObjectBuilder::new()
            .property("query_id", id)
            .property("time", RefOr::T(Schema::from(instant().build())))
            .required("query_id")
            .required("time")
            .description(Some(
                "what else is known: user, db, state, query_time, stmt and so on, text or numbers",
            ));
        RefOr::T(row.build().into())
    }
}

/// The text of a profile.
pub(crate) struct ProfileText;

impl ToSchema for ProfileText {}

impl PartialSchema for ProfileText {
    fn schema() -> RefOr<Schema> {
        // Of no type: whatever is sent is text.
        let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue).min_length(Some(1));
        RefOr::T(any.build().into())
    }
}

/// What a query was.
pub(crate) fn kind() -> Object {
    text().enum_values(Some(["query", "load"])).build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}
