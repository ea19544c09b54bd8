//! The `Date` of an answer. hyper adds one, too, but panics if the system clock is before 1970 or after the year 9999.

use std::cell::RefCell;
use std::convert::Infallible;

use chrono::DateTime;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use warp::http::header::HeaderValue;
use warp::http::{Request, Response};

use super::answer::AnswerBody;
use crate::domain::time::now_ms;

/// Serves a connection that is closed already. hyper formats a date when a thread first serves one, and panics if the
/// system clock is before 1970 then. A thread that did so can serve with such a clock.
pub(crate) fn prepare_thread() {
    if header().is_none() {
        return;
    }
    let answer =
        |_: Request<Incoming>| async { Ok::<_, Infallible>(Response::new(AnswerBody::default())) };
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(tokio::io::empty()), service_fn(answer));
    let _ = connection.now_or_never();
}

/// The first second of the year 10000, which the form of the header cannot express.
const END: i64 = 253_402_300_800;

thread_local! {
    /// The last second that a thread was asked for, because formatting takes a twentieth of a cached list.
    static LAST: RefCell<(i64, Option<HeaderValue>)> = const { RefCell::new((i64::MIN, None)) };
}

/// Returns the value of the header. `None` if the system clock is before 1970 or after the year 9999.
pub(super) fn header() -> Option<HeaderValue> {
    let second = now_ms().div_euclid(1000);
    LAST.with_borrow_mut(|last| {
        if last.0 != second {
            *last = (second, of(second));
        }
        last.1.clone()
    })
}

fn of(second: i64) -> Option<HeaderValue> {
    let date = DateTime::from_timestamp(second, 0).filter(|_| (0..END).contains(&second))?;
    HeaderValue::try_from(date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_in_the_form_of_http_or_missing() {
        for (second, expected) in [
            (0, Some("Thu, 01 Jan 1970 00:00:00 GMT")),
            (784_111_777, Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            (END - 1, Some("Fri, 31 Dec 9999 23:59:59 GMT")),
            (END, None),
            (-1, None),
            (i64::MIN, None),
            (i64::MAX, None),
        ] {
            assert_eq!(
                of(second).as_ref().map(|date| date.to_str().unwrap()),
                expected,
                "{second}"
            );
        }
        assert!(header().is_some());
    }
}
