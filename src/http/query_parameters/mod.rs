//! The parameters behind the question mark. An endpoint has one struct of them, which `serde` reads and `utoipa`
//! describes.

mod link;
mod list;
mod reader;
mod values;

pub(crate) use link::{address, cursor, set_incomplete, with_next};
pub(crate) use list::{ListParameters, filter};
pub(crate) use reader::{NoParameters, read_all, read_known};
pub(crate) use values::{
    BaselineText, Count, FingerprintText, KindName, PageCursor, SearchText, SearchWords, Time,
};
