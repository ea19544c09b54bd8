//! `/api/v1/openapi.json`: annals' own interface, described. The description is made from the types and notes of the
//! routes, so that it cannot fall behind them.

use utoipa::openapi::security::{Http, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response, SecurityRequirement};
use utoipa::{Modify, OpenApi};
use warp::http::StatusCode;

use super::ROUTES;
use super::schema::QueryIdText;
use crate::http::answer::{Answer, json};
use crate::http::doris::envelope::Envelope;
use crate::http::error::ApiError;
use crate::http::query_parameters::{PageCursor, SearchText, SearchWords, Time};
use crate::http::route::{ReadRequest, Route};

pub(in crate::http) const PATH: &str = "/api/v1/openapi.json";

pub(super) const ROUTE: Route = Route::new(PATH, |to, path| to.get(path, describe));

async fn describe(_: ReadRequest) -> Result<Answer, ApiError> {
    json(StatusCode::OK, description())
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "annals",
        description = "The query history that Apache Doris and StarRocks do not keep. Every answer but the text of a \
            profile is an envelope: `msg`, `code` (0 for success), `data` and `count`."
    ),
    components(schemas(Envelope<String>, PageCursor, QueryIdText, SearchText, SearchWords, Time))
)]
struct Base;

/// Returns the description of all routes that have one.
pub(in crate::http) fn description() -> utoipa::openapi::OpenApi {
    let mut all = Base::openapi();
    for describe in ROUTES.iter().filter_map(|route| route.description) {
        all.merge(describe());
    }
    Common.modify(&mut all);
    all
}

/// What every operation has.
struct Common;

impl Modify for Common {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
        description.components.get_or_insert_default().add_security_scheme("basic", basic);
        let form = "annals_ and 40 hexadecimal digits, as `annals token add` prints them";
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(form).build();
        let bearer = SecurityScheme::Http(bearer);
        description.components.get_or_insert_default().add_security_scheme("token", bearer);
        let schemes = ["basic", "token"];
        let schemes = schemes.map(|name| SecurityRequirement::new(name, [] as [&str; 0]));
        // A history without users asks nobody for credentials.
        let nobody = SecurityRequirement::default();
        description.security = Some(schemes.into_iter().chain([nobody]).collect());
        let refusal = |description: &str| {
            let rejected = Content::new(Some(Ref::from_schema_name("Envelope_String")));
            let response = Response::builder().description(description);
            RefOr::T(response.content("application/json", rejected).build())
        };
        for (path, item) in &mut description.paths.paths {
            let all = [&mut item.get, &mut item.put, &mut item.post];
            for operation in all.into_iter().flatten() {
                let pushes = operation.request_body.is_some();
                // The HTTP library answers, without a body.
                let too_long = Response::builder().description("the address is longer than 64 KB");
                operation.responses.responses.insert("414".into(), RefOr::T(too_long.build()));
                let mut add = |status: &str, description: &str| {
                    operation.responses.responses.insert(status.into(), refusal(description));
                };
                add("400", "the request cannot be understood");
                add("401", "the credentials are missing or wrong");
                add("403", "the user may not do this");
                add("429", "too many wrong passwords or tokens; try again later");
                add("500", "something failed; the log of annals says what");
                add("503", "annals is busy; ask again later");
                if path.contains('{') {
                    add("404", "the query or its profile is not known");
                }
                if pushes {
                    add("408", "the body came too slowly");
                    add("413", "the body is too large");
                }
            }
        }
    }
}
