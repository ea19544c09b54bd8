//! The parameters behind the question mark. An endpoint has one struct of them, which `serde` reads and `utoipa`
//! describes.

mod link;
mod list;
mod reader;
mod values;

pub(crate) use link::{address, cursor, set_incomplete, with_next};
pub(crate) use list::{ListParameters, filter, filter_by_start, filter_parameters};
pub(crate) use list::{search, without_cluster};
pub(crate) use reader::{NoParameters, read_all, read_known};
pub(crate) use values::{
    BaselineText, Count, FingerprintText, KindName, Milliseconds, OrderName, PageCursor,
    SearchText, SearchWords, Time, values_schema,
};
