//! The cookie that carries the id of a session.

use headers::{Cookie, HeaderMapExt};
use warp::http::HeaderMap;
use warp::http::header::{HeaderValue, SET_COOKIE};

use super::sessions::SESSION_LIFETIME;

/// A session cookie by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionCookie(&'static str);

impl SessionCookie {
    /// The cookie on Doris' paths, named as Doris names it.
    pub(crate) const DORIS: SessionCookie = SessionCookie("PALO_SESSION_ID");
    /// The cookie on annals' own pages.
    pub(crate) const PAGES: SessionCookie = SessionCookie("annals_session");

    pub(crate) fn name(self) -> &'static str {
        self.0
    }

    /// Returns the id of the session that a request names.
    pub(crate) fn read(self, headers: &HeaderMap) -> Option<String> {
        headers.typed_get::<Cookie>()?.get(self.0).map(str::to_string)
    }

    /// Gives the client the id of its session.
    pub(crate) fn set(self, headers: &mut HeaderMap, id: &str, is_https: bool) {
        self.write(headers, id, SESSION_LIFETIME.as_secs(), is_https);
    }

    /// Makes the client forget the id of its session.
    pub(crate) fn clear(self, headers: &mut HeaderMap, is_https: bool) {
        self.write(headers, "", 0, is_https);
    }

    /// Neither scripts nor other sites get the cookie.
    fn write(self, headers: &mut HeaderMap, id: &str, max_age_seconds: u64, is_https: bool) {
        let secure = if is_https { "; Secure" } else { "" };
        let cookie = format!(
            "{}={id}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Lax{secure}",
            self.0
        );
        headers.extend(HeaderValue::from_str(&cookie).ok().map(|cookie| (SET_COOKIE, cookie)));
    }
}

#[cfg(test)]
mod tests {
    use warp::http::header::COOKIE;

    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name_among_others() {
        for (sent, expected) in [
            (&["PALO_SESSION_ID=a1"][..], Some("a1")),
            (&["theme=dark; PALO_SESSION_ID=a1; b=c"], Some("a1")),
            (&["theme=dark;PALO_SESSION_ID=a=1"], Some("a=1")),
            (&["theme=dark", "PALO_SESSION_ID=a1"], Some("a1")),
            (&["PALO_SESSION_ID=a1; PALO_SESSION_ID=b2"], Some("a1")),
            (&["PALO_SESSION_ID="], Some("")),
            (&["X_PALO_SESSION_ID=a1; palo_session_id=b2; PALO_SESSION_ID"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append(COOKIE, value.parse().unwrap());
            }
            assert_eq!(SessionCookie::DORIS.read(&headers).as_deref(), expected, "{sent:?}");
        }
    }

    #[test]
    fn a_cookie_is_secure_where_the_connection_is() {
        for (is_https, end) in [(false, ""), (true, "; Secure")] {
            let mut headers = HeaderMap::new();
            SessionCookie::PAGES.set(&mut headers, "a1", is_https);
            let set =
                format!("annals_session=a1; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax{end}");
            assert_eq!(headers[SET_COOKIE], set);
        }
        let mut headers = HeaderMap::new();
        SessionCookie::DORIS.clear(&mut headers, false);
        let cleared = "PALO_SESSION_ID=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax";
        assert_eq!(headers[SET_COOKIE], cleared);
    }
}
