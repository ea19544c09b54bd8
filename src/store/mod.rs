//! The store: the interface to the query history, in the words of the domain, and every SQL statement.
//!
//! One [`Writer`] commits in groups; readers work beside it and never wait for it.

mod batch;
mod error;
mod profile_body;
mod query;
mod sqlite;
mod writer;

pub(crate) use crate::domain::record::StoredQuery;
pub(crate) use batch::{Batch, FollowedFile, WriteSummary};
pub(crate) use error::{OpenError, StoreError, WriteError};
pub(crate) use query::{ListedQuery, StoredProfile};
pub(crate) use sqlite::*;
pub(crate) use writer::Writer;
