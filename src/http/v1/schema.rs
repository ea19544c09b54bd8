//! Schemas that several operations of the description share.

use utoipa::openapi::schema::{ObjectBuilder, SchemaType};
use utoipa::openapi::{RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// What [`crate::domain::record::QueryId`] accepts, as a regular expression. The words and zeros at its start are what
/// frontends write in place of an id. Flags within an expression are not part of every dialect.
pub(super) const QUERY_ID: &str = concat!(
    r"^(?!(?:[Nn][Uu][Ll][Ll]|[Nn][Aa][Nn]|[Nn]/[Aa]|[Uu][Nn][Kk][Nn][Oo][Ww][Nn]|[Nn][Oo][Nn][Ee]|-1|0*-[-0]*)$)",
    r"[^\s\x00-\x1f\x7f-\x9f]{1,128}$"
);

/// A query id in a path.
pub(super) struct QueryIdText;

impl ToSchema for QueryIdText {}

impl PartialSchema for QueryIdText {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        RefOr::T(text.pattern(Some(QUERY_ID)).build().into())
    }
}

/// The name of a cluster in a header, of the characters that every client can send.
pub(super) struct ClusterNameText;

impl ToSchema for ClusterNameText {}

impl PartialSchema for ClusterNameText {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        let pattern = "^[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,126}[A-Za-z0-9])?$";
        RefOr::T(text.pattern(Some(pattern)).build().into())
    }
}
