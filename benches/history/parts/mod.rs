//! The parts of the benchmark.

pub(crate) mod bytes;
pub(crate) mod commands;
pub(crate) mod datasette;
pub(crate) mod import;
pub(crate) mod large;
pub(crate) mod lists;
pub(crate) mod postgres;
pub(crate) mod profiles;
pub(crate) mod push;
