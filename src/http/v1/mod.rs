//! annals' own REST interface, `/api/v1`: what Doris' shapes cannot carry.

mod find;
mod findings;
pub(super) mod openapi;
mod plans;
mod push;
mod queries;
mod regressions;
mod schema;
mod statements;
mod status;
mod timeline;
mod usage;

use super::route::Route;

/// The routes of annals' own interface. One that reads comes before one that pushes at the same path.
pub(super) const ROUTES: &[Route] = &[
    queries::LIST,
    queries::ONE,
    queries::PROFILE,
    queries::PROFILE_TREE,
    queries::PLAN,
    queries::FINDINGS,
    find::ROUTE,
    statements::ROUTE,
    statements::PLANS,
    regressions::ROUTE,
    findings::ROUTE,
    plans::ROUTE,
    timeline::ROUTE,
    usage::ROUTE,
    usage::CONCURRENT,
    status::ROUTE,
    openapi::ROUTE,
    push::QUERIES,
    push::PROFILE,
];
