//! What a request asks for, checked before any route sees it: the routes expect a path.

use warp::http::header::HOST;
use warp::http::{Method, Request};

use super::error::ApiError;

/// Errors unless a request names a path, as `/path` or as `http://host/path`, and at most one host. A proxy's `CONNECT`
/// and `OPTIONS *` name no path.
pub(super) fn check_target<In>(request: &Request<In>) -> Result<(), ApiError> {
    let uri = request.uri();
    let sentence = if *request.method() == Method::CONNECT {
        "annals is no proxy: it does not answer CONNECT"
    } else if !uri.path().starts_with('/')
        || uri.scheme_str().is_none_or(|scheme| scheme != "http" && scheme != "https")
            && uri.authority().is_some()
    {
        "the request line must name a path, such as /rest/v1/session"
    } else if request.headers().get_all(HOST).iter().nth(1).is_some() {
        "the request has more than one Host header"
    } else {
        return Ok(());
    };
    Err(ApiError::BadRequest(sentence.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_with_or_without_its_server_is_asked_for() {
        for (method, uri, is_valid) in [
            ("GET", "/", true),
            ("GET", "/a?b", true),
            ("GET", "http://localhost/a", true),
            ("GET", "https://localhost", true),
            ("CONNECT", "a:1", false),
            ("CONNECT", "/", false),
            ("GET", "localhost:80", false),
            ("GET", "a", false),
            ("OPTIONS", "*", false),
            ("GET", "ftp://localhost/a", false),
        ] {
            let request = Request::builder().method(method).uri(uri).body(()).unwrap();
            assert_eq!(check_target(&request).is_ok(), is_valid, "{method} {uri}");
        }
        let hosts = Request::builder().uri("/").header(HOST, "a").header(HOST, "b");
        assert!(check_target(&hosts.body(()).unwrap()).is_err());
    }
}
