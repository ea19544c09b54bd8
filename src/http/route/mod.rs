//! A route, said once: the module of an endpoint names the path, and from that [`Route`] come the filter, the label in
//! the metrics, the place in the cache of responses, and for annals' own interface the description.

mod builder;
mod kind;
mod parameters;
mod path;

use std::sync::Arc;

use futures_util::stream::BoxStream;
use utoipa::openapi::OpenApi;
use warp::filters::BoxedFilter;
use warp::http::HeaderMap;
use warp::hyper::body::Bytes;

use super::answer::Answer;
use super::state::AppState;
use super::view::View;
pub(crate) use builder::any_of;
pub(super) use builder::{RouteBuilder, answered, below};
pub(super) use kind::RouteKind;
pub(crate) use parameters::Parameters;
pub(crate) use path::{PathValues, at};
pub(super) use path::{is_at_or_below, values};

/// One endpoint.
pub(super) struct Route {
    /// The pattern of the path. `{name}` stands for one part, `{*name}` at the end for the rest, which may be empty.
    pub path: &'static str,
    /// Whether the answer depends on the store, the request and the user whose queries the principal may see, and on
    /// nothing else. Such answers are kept until the next commit.
    pub is_cached: bool,
    /// How the route works, which bounds the time and the number of its requests.
    pub kind: RouteKind,
    /// Describes the endpoints of the route's module; `None` on Doris' paths, and where another route of the module does.
    pub description: Option<fn() -> OpenApi>,
    build: fn(&RouteBuilder, &'static str) -> BoxedFilter<(Answer,)>,
}

impl Route {
    /// A route at `path`. `build` makes its filter.
    pub(super) const fn new(
        path: &'static str,
        build: fn(&RouteBuilder, &'static str) -> BoxedFilter<(Answer,)>,
    ) -> Route {
        Route { path, is_cached: false, kind: RouteKind::Read, description: None, build }
    }

    pub(super) const fn cached(self) -> Route {
        Route { is_cached: true, ..self }
    }

    pub(super) const fn kind(self, kind: RouteKind) -> Route {
        Route { kind, ..self }
    }

    pub(super) const fn described_by(self, description: fn() -> OpenApi) -> Route {
        Route { description: Some(description), ..self }
    }

    pub(super) fn filter(&self, builder: &RouteBuilder) -> BoxedFilter<(Answer,)> {
        (self.build)(builder, self.path)
    }

    /// Returns the label in the metrics: the path up to the first part that varies, or the whole pattern if only `/api`
    /// is before that part.
    pub(super) fn label(&self) -> &'static str {
        match self.path.split_once("/{") {
            Some((head, _)) if head != "/api" => head,
            _ => self.path,
        }
    }

    /// Returns what follows this route's label in a path, or `None` if nothing does.
    pub(super) fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.label())?.strip_prefix('/')
    }
}

/// A request to a route that reads.
pub(super) struct ReadRequest {
    pub state: Arc<AppState>,
    pub view: View,
    pub parameters: Parameters,
    pub path: PathValues,
}

/// A request to a route that adds to the history.
pub(super) struct PushRequest {
    /// The name under which the client's memory is accounted: that of the user, or the address if annals has no users.
    pub client: String,
    pub view: View,
    pub headers: HeaderMap,
    pub parameters: Parameters,
    pub path: PathValues,
    pub full_path: String,
    pub body: BodyStream,
}

/// The chunks of a body as they come.
pub(super) type BodyStream = BoxStream<'static, Result<Bytes, warp::Error>>;
