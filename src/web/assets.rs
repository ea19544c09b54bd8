//! The style sheet, the script and the icon of the pages, compiled into the binary. Each path holds a hash of the
//! content, so a browser may cache the file forever.

use std::sync::LazyLock;

use warp::filters::BoxedFilter;
use warp::http::Response;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use warp::hyper::body::Bytes;
use warp::{Filter, Rejection};

use crate::http::answer::Answer;

pub(super) struct Asset {
    pub path: String,
    content_type: &'static str,
    body: &'static str,
}

impl Asset {
    fn new(extension: &str, content_type: &'static str, body: &'static str) -> Asset {
        let hash = xxhash_rust::xxh3::xxh3_64(body.as_bytes());
        Asset { path: format!("/assets/{hash:016x}.{extension}"), content_type, body }
    }
}

pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("css", "text/css; charset=utf-8", include_str!("assets/page.css")));

pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("js", "text/javascript; charset=utf-8", include_str!("assets/page.js"))
});

pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("svg", "image/svg+xml", include_str!("assets/icon.svg")));

/// Serves the assets to everybody, logged in or not: they hold nothing of the history.
pub(super) fn routes() -> BoxedFilter<(Answer,)> {
    warp::path!("assets" / String)
        .and(warp::get().or(warp::head()).unify())
        .and_then(|name: String| async move {
            let asset = [&STYLE, &SCRIPT, &ICON]
                .into_iter()
                .find(|asset| asset.path.strip_prefix("/assets/") == Some(name.as_str()))
                .ok_or_else(warp::reject::not_found)?;
            let mut answer = Response::new(Bytes::from_static(asset.body.as_bytes()).into());
            let headers = answer.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
            let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
            headers.insert(CACHE_CONTROL, forever);
            Ok::<_, Rejection>(answer)
        })
        .boxed()
}
