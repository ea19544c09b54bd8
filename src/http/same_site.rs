//! Protection from pages of other sites: annals may listen on the machine of somebody who browses the web.

use std::net::IpAddr;

use warp::host::Authority;
use warp::http::HeaderMap;
use warp::http::header::{HOST, ORIGIN};

use super::error::ApiError;

/// Errors if the host name is not one of this machine. A page in a browser may let its own name point to the loopback
/// address, and would then read the history as a part of its site.
pub(super) fn check_host(host: Option<&Authority>) -> Result<(), ApiError> {
    let Some(host) = host.map(Authority::host) else {
        return Ok(());
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.to_ascii_lowercase();
    if address.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost") {
        return Ok(());
    }
    Err(ApiError::Forbidden(format!(
        "the request names the host {host}; without users, annals answers only to addresses and localhost"
    )))
}

/// Errors if a browser sends the request for a page of another site.
pub(crate) fn reject_cross_site(headers: &HeaderMap) -> Result<(), ApiError> {
    let host = headers.get(HOST).map(|host| host.as_bytes());
    let is_foreign_origin = headers.get(ORIGIN).is_some_and(|origin| {
        let origin = origin.as_bytes();
        let at = memchr::memmem::find(origin, b"://").map(|at| &origin[at + 3..]);
        at.is_none() || at != host
    });
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    let is_cross_site = site.is_some_and(|site| ![&b"same-origin"[..], b"none"].contains(&site));
    if is_foreign_origin || is_cross_site {
        let sentence = "requests from pages of other sites are not allowed";
        return Err(ApiError::Forbidden(sentence.to_string()));
    }
    Ok(())
}
