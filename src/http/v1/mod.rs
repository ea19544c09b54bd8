//! annals' own REST interface, `/api/v1`.

pub(super) mod openapi;
pub(super) mod push;
pub(super) mod queries;
pub(super) mod statements;
pub(super) mod status;
