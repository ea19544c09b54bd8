//! Schemas that several operations of the description share.

use utoipa::openapi::schema::{ObjectBuilder, SchemaType};
use utoipa::openapi::{RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// What [`crate::domain::record::QueryId`] takes, as a regular expression.
pub(super) const QUERY_ID: &str = r"^[^\s\x00-\x1f\x7f-\x9f]{1,128}$";

/// A query id in a path.
pub(super) struct QueryIdText;

impl ToSchema for QueryIdText {}

impl PartialSchema for QueryIdText {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        RefOr::T(text.pattern(Some(QUERY_ID)).build().into())
    }
}
