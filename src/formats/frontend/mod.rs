//! A live frontend, asked over HTTP: its list of queries, and the text of a profile.
//!
//! The list with named columns is asked for first (`/rest/v1/query_profile`, Doris 0.15 and later), then the
//! manager's (`/rest/v2/manager/query/query_info`), whose rows are cells (see `table`), then the queries that a
//! frontend of StarRocks or of an older Doris keeps for monitors (`/api/v2/query_detail`, `/api/query_detail`).
//! Versions that do not know a path answer 404, or 200 with a page for a browser.

pub(crate) mod html;
pub(super) mod table;

use std::fmt;
use std::sync::Once;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde_json::Value;

use crate::domain::profile::Profile;
use crate::domain::record::{QueryId, QueryRecord};
use crate::domain::time::Zone;
use crate::formats::file::MAX_PROFILE_BYTES;
use crate::formats::frontend::html::html_to_text;

/// How long a frontend may take to take a call.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take for an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// The largest list taken in, in bytes.
const MAX_LIST_BYTES: usize = 64 << 20;
/// What JSON adds to a profile at most: each of its bytes may be escaped.
const MAX_PROFILE_ANSWER_BYTES: usize = 2 * MAX_PROFILE_BYTES;

/// A frontend, and how it is asked.
#[derive(Clone)]
pub(crate) struct Frontend {
    /// Where it is, without a user: `http://fe1:8030`.
    pub url: Url,
    /// Who asks.
    pub user: String,
    /// Their password.
    pub password: String,
    /// The zone of the times it writes.
    pub zone: Zone,
}

impl fmt::Debug for Frontend {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.user, self.url)
    }
}

/// Why a frontend did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrontendError {
    /// It did not answer, or not in time.
    #[error("it does not answer; is it there, and is this its HTTP port, 8030 by default?")]
    NoAnswer(#[source] reqwest::Error),
    /// It does not know who asks.
    #[error("it refuses the user or the password")]
    Unauthorized,
    /// It answered, but not as a frontend does.
    #[error(
        "it does not answer as a frontend of Doris does; is this its HTTP port, 8030 by default?"
    )]
    NotAFrontend,
    /// It lists queries, and not one row says which query it is of.
    #[error("it lists {0} queries, of which annals understands none; please report its version")]
    NotUnderstood(usize),
    /// It failed.
    #[error("it answers with the HTTP status {0}")]
    Failed(StatusCode),
    /// It sent more than can be meant.
    #[error("its answer is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
}

/// The paths of the list, in the order in which they are asked for.
const LISTS: [&str; 4] = [
    "rest/v1/query_profile?limit=1000",
    "rest/v2/manager/query/query_info?is_all_node=false&limit=1000",
    "api/v2/query_detail?event_time=0",
    "api/query_detail?event_time=0",
];
/// The paths from here on list what happened in the last seconds alone.
const FIRST_SHORT_LIST: usize = 2;

/// What a frontend lists.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// The queries, newest first; their times are to the second in lists of Doris.
    pub queries: Vec<QueryRecord>,
    /// How many rows were not understood.
    pub not_understood: usize,
    /// Whether the frontend forgets its list within seconds, so that two lists may have no query in common
    /// though none was missed.
    pub is_short: bool,
}

/// The sources to ask for a profile, newest first.
#[derive(Debug, Clone, Copy)]
enum ProfileRoute {
    Manager,
    Text,
    Enveloped,
    Html,
}

const PROFILE_ROUTES: [ProfileRoute; 4] =
    [ProfileRoute::Manager, ProfileRoute::Text, ProfileRoute::Enveloped, ProfileRoute::Html];

/// What a route said.
enum Said<T> {
    This(T),
    /// It knows the question, and has nothing.
    Nothing,
    /// This version does not know the question.
    NoSuchRoute,
}

/// A frontend's ear.
#[derive(Debug)]
pub(crate) struct FrontendClient {
    frontend: Frontend,
    http: Client,
    /// The routes that this frontend knows, as far as was found out.
    list_route: usize,
    profile_route: usize,
}

impl FrontendClient {
    /// A client of a frontend.
    pub(crate) fn new(frontend: Frontend) -> Result<FrontendClient, FrontendError> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // An error says that there is one already, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        // A password goes nowhere but to the frontend itself.
        let same_origin = Policy::custom(|attempt| {
            let origin = attempt.previous().first().map(Url::origin);
            if attempt.previous().len() < 5 && origin == Some(attempt.url().origin()) {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let http = Client::builder()
            .connect_timeout(CONNECTED_WITHIN)
            .timeout(ANSWERED_WITHIN)
            .redirect(same_origin)
            .build()
            .map_err(|error| FrontendError::NoAnswer(error.without_url()))?;
        Ok(FrontendClient { frontend, http, list_route: 0, profile_route: 0 })
    }

    /// Finds out anew what the frontend knows: it may be another version than before.
    pub(crate) fn forget_routes(&mut self) {
        self.list_route = 0;
        self.profile_route = 0;
    }

    /// Returns the queries that the frontend remembers. A path that it does not know, that it refuses to this
    /// user, or whose rows cannot be understood gives source to the next one.
    pub(crate) async fn list(&mut self) -> Result<List, FrontendError> {
        let mut failed = FrontendError::NotAFrontend;
        for (route, path) in LISTS.iter().enumerate().skip(self.list_route) {
            let answer = match self.get(self.at(path)?, MAX_LIST_BYTES).await {
                // Doris keeps some lists for administrators, and others for whoever ran the queries.
                Err(FrontendError::Unauthorized) => Envelope::Refused(401),
                Err(error @ FrontendError::Failed(_)) => {
                    failed = error;
                    continue;
                }
                Err(error) => return Err(error),
                Ok(None) => continue,
                Ok(Some(body)) => envelope(&body),
            };
            let data = match answer {
                Envelope::Refused(401) => {
                    if !matches!(failed, FrontendError::NotUnderstood(_)) {
                        failed = FrontendError::Unauthorized;
                    }
                    // The two lists of Doris ask for different rights; further ones would only count as further
                    // wrong passwords.
                    if route + 1 >= FIRST_SHORT_LIST {
                        break;
                    }
                    continue;
                }
                Envelope::None | Envelope::Refused(_) => continue,
                Envelope::Data(data) => data,
            };
            let Some((queries, not_understood)) = table::records(&data, self.frontend.zone) else {
                continue;
            };
            if queries.is_empty() && not_understood > 0 {
                failed = FrontendError::NotUnderstood(not_understood);
                continue;
            }
            self.list_route = route;
            return Ok(List { queries, not_understood, is_short: route >= FIRST_SHORT_LIST });
        }
        Err(failed)
    }

    /// The zone of the times that the frontend writes.
    pub(crate) fn zone(&self) -> Zone {
        self.frontend.zone
    }

    /// Remembers the source that [`FrontendClient::profile`] found.
    pub(crate) fn prefer_profile_route(&mut self, route: usize) {
        self.profile_route = route;
    }

    /// The text of a profile and the source by which it came; `None` where the frontend has none.
    pub(crate) async fn profile(
        &self,
        query_id: &QueryId,
    ) -> Result<Option<(Vec<u8>, usize)>, FrontendError> {
        for (number, route) in PROFILE_ROUTES.iter().enumerate().skip(self.profile_route) {
            match self.profile_by(*route, query_id).await? {
                Said::This(text) => return Ok(Some((text, number))),
                Said::Nothing => return Ok(None),
                Said::NoSuchRoute => {}
            }
        }
        Ok(None)
    }

    async fn profile_by(
        &self,
        route: ProfileRoute,
        query_id: &QueryId,
    ) -> Result<Said<Vec<u8>>, FrontendError> {
        let mut url = match route {
            ProfileRoute::Manager => self.at("rest/v2/manager/query/profile/text/")?,
            ProfileRoute::Text => self.at("api/profile/text")?,
            ProfileRoute::Enveloped => self.at("api/profile")?,
            ProfileRoute::Html => self.at("rest/v1/query_profile/")?,
        };
        match route {
            ProfileRoute::Manager | ProfileRoute::Html => {
                let mut segments =
                    url.path_segments_mut().map_err(|()| FrontendError::NotAFrontend)?;
                segments.pop_if_empty().push(query_id.as_str());
            }
            ProfileRoute::Text | ProfileRoute::Enveloped => {
                url.query_pairs_mut().append_pair("query_id", query_id.as_str());
            }
        }
        if let ProfileRoute::Manager = route {
            url.query_pairs_mut().append_pair("is_all_node", "false");
        }
        let Some(body) = self.get(url, MAX_PROFILE_ANSWER_BYTES).await? else {
            return Ok(Said::NoSuchRoute);
        };
        // StarRocks answers with the bare text where Doris sends it in its envelope.
        if Profile::sniff(&body[..body.len().min(4096)]) {
            return Ok(Said::This(body));
        }
        let data = match envelope(&body) {
            Envelope::None | Envelope::Refused(403 | 404) => return Ok(Said::NoSuchRoute),
            Envelope::Refused(401) => return Err(FrontendError::Unauthorized),
            Envelope::Refused(_) => return Ok(Said::Nothing),
            Envelope::Data(data) => data,
        };
        let text = match (route, data) {
            (ProfileRoute::Html, Value::String(html)) => html_to_text(&html),
            (ProfileRoute::Manager | ProfileRoute::Enveloped, Value::Object(mut data)) => {
                match data.remove("profile") {
                    Some(Value::String(text)) => text,
                    _ => return Ok(Said::Nothing),
                }
            }
            _ => return Ok(Said::NoSuchRoute),
        };
        if text.trim().is_empty() {
            return Ok(Said::Nothing);
        }
        Ok(Said::This(text.into_bytes()))
    }

    fn at(&self, path: &str) -> Result<Url, FrontendError> {
        self.frontend.url.join(path).map_err(|_| FrontendError::NotAFrontend)
    }

    /// The body of an answer; `None` where there is nothing at the path.
    async fn get(&self, url: Url, most: usize) -> Result<Option<Vec<u8>>, FrontendError> {
        let no_answer = |error: reqwest::Error| FrontendError::NoAnswer(error.without_url());
        let mut answer = self.authorized(self.http.get(url)).send().await.map_err(no_answer)?;
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(FrontendError::Unauthorized);
            }
            // Among them what annals answers to an id that cannot be one.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST => {
                return Ok(None);
            }
            status if !status.is_success() => return Err(FrontendError::Failed(status)),
            _ => {}
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > most {
                return Err(FrontendError::TooLarge(most));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth(&self.frontend.user, Some(&self.frontend.password))
    }
}

enum Envelope {
    Data(Value),
    /// Its code.
    Refused(i64),
    /// It is none.
    None,
}

/// Reads what an answer is wrapped in: the envelope of Doris, that of StarRocks' newer paths (`result` and a `code`
/// that is text), or nothing, where StarRocks sends a bare list.
fn envelope(body: &[u8]) -> Envelope {
    let mut envelope = match serde_json::from_slice(body) {
        Ok(Value::Object(envelope)) => envelope,
        Ok(list @ Value::Array(_)) => return Envelope::Data(list),
        _ => return Envelope::None,
    };
    let code = envelope.get("code").and_then(|code| match code {
        Value::String(text) => text.trim().parse().ok(),
        code => code.as_i64(),
    });
    let data = envelope.remove("data").or_else(|| envelope.remove("result"));
    match (code, data) {
        (Some(0), Some(data)) => Envelope::Data(data),
        (Some(code), _) if code != 0 => Envelope::Refused(code),
        _ => Envelope::None,
    }
}
