//! The parameters behind the question mark. An endpoint has one struct of them, which `serde` reads and `utoipa`
//! describes.

mod link;
mod list;
mod reader;
mod values;

pub(crate) use link::{address, cursor, set_incomplete, with_next};
pub(crate) use list::{
    ListParameters, choosing_names, filter_by_start, filter_of_page, filter_parameters,
};
pub(crate) use list::{search, without_cluster};
pub(crate) use reader::{NoParameters, UnknownParameter, read_all, read_known, reject_unknown};
pub(crate) use values::{
    BaselineText, ChangeName, Count, FingerprintText, KindName, Milliseconds, OrderName,
    PageCursor, SearchText, SearchWords, Time, UnknownText, values_schema,
};
