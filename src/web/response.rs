//! Responses that carry a page, an error page or a redirect.

use warp::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY, VARY,
};
use warp::http::{Response, StatusCode};

use super::layout::{self, Page, Viewer};
use super::paths;
use crate::http::Parameters;
use crate::http::answer::{Answer, AnswerBody};
use crate::http::error::{ApiError, ErrorParts};

/// The policy of every page: it may load what annals serves, and no script or style inside the page runs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Returns a page as a response. `viewer` is the logged-in user; `None` on pages for anybody.
pub(super) fn page(status: StatusCode, page: &Page, viewer: Option<&Viewer>) -> Answer {
    let mut answer =
        Response::new(AnswerBody::Whole(layout::document(page, viewer).into_string().into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(VARY, HeaderValue::from_static("authorization, cookie"));
    // Without this header browsers send `Origin: null` with annals' own forms.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

/// Returns the page that shows an error to anybody.
pub(super) fn error(error: ApiError) -> Answer {
    let ErrorParts { status, message, .. } = error.into_parts();
    page(status, &layout::error_page(status, &message, &Parameters::new(), None), None)
}

/// Redirects a browser to an address of annals itself.
pub(super) fn redirect(address: &str) -> Answer {
    let mut answer = Response::new(AnswerBody::default());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let start = HeaderValue::from_static(paths::HISTORY);
    let location = HeaderValue::from_str(address).unwrap_or(start);
    answer.headers_mut().insert(LOCATION, location);
    answer
}
