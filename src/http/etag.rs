//! Entity tags: a client that has an answer already names its tag, and the body is not sent again.

use headers::{ETag, Header, HeaderMapExt, IfNoneMatch};
use warp::http::HeaderMap;
use warp::http::header::{ETAG, HeaderValue};
use xxhash_rust::xxh3::xxh3_128;

/// Returns the tag of a body.
pub(crate) fn of_body(body: &[u8]) -> Option<HeaderValue> {
    of_hash(xxh3_128(body))
}

/// Tags an answer with the hash of the stored form of its body. A profile is stored in a thirtieth of the size of its
/// HTML.
pub(crate) fn insert(headers: &mut HeaderMap, hash: u128) {
    headers.extend(of_hash(hash).map(|tag| (ETAG, tag)));
}

/// Returns a weak tag, because the same body goes out with gzip and without.
fn of_hash(hash: u128) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("W/\"{hash:032x}\"")).ok()
}

/// Returns the tags of the answers that a client has. An unreadable `If-None-Match` counts as absent.
pub(crate) fn if_none_match(request: &HeaderMap) -> Option<IfNoneMatch> {
    request.typed_get()
}

/// Returns whether a client that sent `known` has the answer with this tag. Weak and strong tags match each other.
pub(crate) fn is_known(known: &IfNoneMatch, tag: &HeaderValue) -> bool {
    ETag::decode(&mut std::iter::once(tag)).is_ok_and(|tag| !known.precondition_passes(&tag))
}

#[cfg(test)]
mod tests {
    use warp::http::header::IF_NONE_MATCH;

    use super::*;

    #[test]
    fn a_tag_is_known_in_a_list_weak_or_strong() {
        let tag = of_hash(0xab).unwrap();
        assert_eq!(tag, format!("W/\"{:032x}\"", 0xab));
        let strong = format!("\"{:032x}\"", 0xab);
        let sent = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_NONE_MATCH, value.parse().unwrap());
            }
            if_none_match(&headers).is_some_and(|known| is_known(&known, &tag))
        };
        for known in [
            &[format!("W/{strong}").as_str()][..],
            &[&strong],
            &["*"],
            &[&format!("\"x\",W/\"a,b\" , {strong}")],
            &["\"x\"", &strong],
        ] {
            assert!(sent(known), "{known:?}");
        }
        for unknown in
            [&[][..], &[""], &["\"x\""], &[strong.trim_matches('"')], &["W/"], &["\"*\""]]
        {
            assert!(!sent(unknown), "{unknown:?}");
        }
    }
}
