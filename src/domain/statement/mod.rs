//! Statements: their tokens, their normalized text and fingerprint, and how people read them.
//!
//! Normalized texts are stored and must be the same in every version of annals of one major number, so annals has its
//! own tokenizer: a crate's would change under it. The tokenizer reads any text, also a statement that was cut.
//!
//! - [`tokenizer`] splits a statement of Doris or StarRocks into tokens.
//! - [`keywords`] lists the words of both languages.
//! - [`normalize`](mod@normalize) removes values, comments, white space and letter case.
//! - [`fingerprint`] names a normalized statement by a hash.
//! - [`unescape`] restores a statement from the form in which a frontend logs it.
//! - [`compare`] decides whether two texts report one statement, and which is more complete.
//! - [`differences`](mod@differences) are the lines in which two statements differ.
//! - [`highlight`](mod@highlight) classifies the parts of a statement for colours.
//! - [`formatter`] breaks a statement into lines.

mod compare;
mod differences;
mod fingerprint;
mod formatter;
mod highlight;
mod keywords;
mod normalize;
mod tokenizer;
mod unescape;

pub(crate) use compare::{is_more_complete, is_same_statement};
pub(crate) use differences::{DifferenceLine, Differences, differences};
pub(crate) use fingerprint::{Fingerprint, InvalidFingerprint};
pub(crate) use formatter::format_sql;
pub(crate) use highlight::{SyntaxKind, highlight};
pub(crate) use normalize::{NORMALIZER_VERSION, normalize, normalize_into};
pub(crate) use unescape::original_text;
