//! The HTTP client of one frontend.

use std::sync::Once;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde_json::Value;

use super::envelope::Envelope;
use super::{Frontend, FrontendError, List, query_list};
use crate::domain::profile::Profile;
use crate::domain::record::QueryId;
use crate::domain::time::Zone;
use crate::formats::file::MAX_PROFILE_BYTES;
use crate::formats::frontend::html::html_to_text;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How many redirects of one request are followed.
const MAX_REDIRECTS: usize = 4;
/// The largest list that is read, in bytes.
const MAX_LIST_BYTES: usize = 64 << 20;
/// The largest answer with a profile that is read, in bytes: in JSON each byte of the profile may be escaped.
const MAX_PROFILE_ANSWER_BYTES: usize = 2 * MAX_PROFILE_BYTES;

/// The paths of the list, in the order in which they are tried.
const LISTS: [&str; 4] = [
    "rest/v1/query_profile?limit=1000",
    "rest/v2/manager/query/query_info?is_all_node=false&limit=1000",
    "api/v2/query_detail?event_time=0",
    "api/query_detail?event_time=0",
];
/// The paths from here on list only the last seconds.
const FIRST_SHORT_LIST: usize = 2;

/// The routes of a profile, newest first.
#[derive(Debug, Clone, Copy)]
enum ProfileRoute {
    Manager,
    Text,
    Enveloped,
    Html,
}

const PROFILE_ROUTES: [ProfileRoute; 4] =
    [ProfileRoute::Manager, ProfileRoute::Text, ProfileRoute::Enveloped, ProfileRoute::Html];

/// The answer of a route.
enum RouteAnswer {
    Profile(Vec<u8>),
    /// The frontend does not have the profile.
    NoProfile,
    /// This version does not have the route.
    NoSuchRoute,
}

/// Asks one frontend, and remembers which routes it has.
#[derive(Debug)]
pub(crate) struct FrontendClient {
    frontend: Frontend,
    http: Client,
    /// The first route in [`LISTS`] that may answer.
    list_route: usize,
    /// The first route in [`PROFILE_ROUTES`] that may answer.
    profile_route: usize,
}

impl FrontendClient {
    /// Returns a client of a frontend. Errors if the HTTP client cannot be built.
    pub(crate) fn new(frontend: Frontend) -> Result<FrontendClient, FrontendError> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // An error says that another provider is installed already, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        // The password is sent to the frontend itself and nowhere else.
        let same_origin = Policy::custom(|attempt| {
            let origin = attempt.previous().first().map(Url::origin);
            if attempt.previous().len() <= MAX_REDIRECTS && origin == Some(attempt.url().origin()) {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(same_origin)
            .build()
            .map_err(|error| FrontendError::NoAnswer(error.without_url()))?;
        Ok(FrontendClient { frontend, http, list_route: 0, profile_route: 0 })
    }

    /// Tries all routes again from now on: the frontend may be another version than before.
    pub(crate) fn forget_routes(&mut self) {
        self.list_route = 0;
        self.profile_route = 0;
    }

    /// Returns the queries that the frontend remembers. The client tries the next path if the frontend does not have a
    /// path, refuses it to this user, or lists rows on it of which none is understood.
    ///
    /// Errors if no path gives a list.
    pub(crate) async fn list(&mut self) -> Result<List, FrontendError> {
        let mut failed = FrontendError::NotAFrontend;
        for (route, path) in LISTS.iter().enumerate().skip(self.list_route) {
            let answer = match self.get(self.url(path)?, MAX_LIST_BYTES).await {
                // Doris keeps some lists for administrators, and others for whoever ran the queries.
                Err(FrontendError::Unauthorized) => Envelope::Rejected(401),
                Err(error @ FrontendError::Failed(_)) => {
                    failed = error;
                    continue;
                }
                Err(error) => return Err(error),
                Ok(None) => continue,
                Ok(Some(body)) => Envelope::read(&body),
            };
            let data = match answer {
                Envelope::Rejected(401) => {
                    if !matches!(failed, FrontendError::NotUnderstood(_)) {
                        failed = FrontendError::Unauthorized;
                    }
                    // The two lists of Doris need different rights. Further tries would only count as further wrong
                    // passwords.
                    if route + 1 >= FIRST_SHORT_LIST {
                        break;
                    }
                    continue;
                }
                Envelope::None | Envelope::Rejected(_) => continue,
                Envelope::Data(data) => data,
            };
            let Some((queries, not_understood)) = query_list::records(&data, self.frontend.zone)
            else {
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

    /// Returns the zone of the times that the frontend writes.
    pub(crate) fn zone(&self) -> Zone {
        self.frontend.zone
    }

    /// Tries the route of the last [`FrontendClient::profile`] first from now on.
    pub(crate) fn prefer_profile_route(&mut self, route: usize) {
        self.profile_route = route;
    }

    /// Returns the text of a profile and the number of the route that gave it, or None if the frontend does not have the
    /// profile.
    ///
    /// Errors if the frontend does not answer, rejects the user, or fails.
    pub(crate) async fn profile(
        &self,
        query_id: &QueryId,
    ) -> Result<Option<(Vec<u8>, usize)>, FrontendError> {
        for (number, route) in PROFILE_ROUTES.iter().enumerate().skip(self.profile_route) {
            match self.profile_by(*route, query_id).await? {
                RouteAnswer::Profile(text) => return Ok(Some((text, number))),
                RouteAnswer::NoProfile => return Ok(None),
                RouteAnswer::NoSuchRoute => {}
            }
        }
        Ok(None)
    }

    async fn profile_by(
        &self,
        route: ProfileRoute,
        query_id: &QueryId,
    ) -> Result<RouteAnswer, FrontendError> {
        let url = self.profile_url(route, query_id)?;
        let Some(body) = self.get(url, MAX_PROFILE_ANSWER_BYTES).await? else {
            return Ok(RouteAnswer::NoSuchRoute);
        };
        // StarRocks answers with the bare text, Doris with the text in an envelope.
        if Profile::sniff(&body[..body.len().min(4096)]) {
            return Ok(RouteAnswer::Profile(body));
        }
        let data = match Envelope::read(&body) {
            Envelope::None | Envelope::Rejected(403 | 404) => return Ok(RouteAnswer::NoSuchRoute),
            Envelope::Rejected(401) => return Err(FrontendError::Unauthorized),
            Envelope::Rejected(_) => return Ok(RouteAnswer::NoProfile),
            Envelope::Data(data) => data,
        };
        let text = match (route, data) {
            (ProfileRoute::Html, Value::String(html)) => html_to_text(&html),
            (ProfileRoute::Manager | ProfileRoute::Enveloped, Value::Object(mut data)) => {
                match data.remove("profile") {
                    Some(Value::String(text)) => text,
                    _ => return Ok(RouteAnswer::NoProfile),
                }
            }
            _ => return Ok(RouteAnswer::NoSuchRoute),
        };
        if text.trim().is_empty() {
            return Ok(RouteAnswer::NoProfile);
        }
        Ok(RouteAnswer::Profile(text.into_bytes()))
    }

    fn profile_url(&self, route: ProfileRoute, query_id: &QueryId) -> Result<Url, FrontendError> {
        let mut url = match route {
            ProfileRoute::Manager => self.url("rest/v2/manager/query/profile/text/")?,
            ProfileRoute::Text => self.url("api/profile/text")?,
            ProfileRoute::Enveloped => self.url("api/profile")?,
            ProfileRoute::Html => self.url("rest/v1/query_profile/")?,
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
        Ok(url)
    }

    fn url(&self, path: &str) -> Result<Url, FrontendError> {
        self.frontend.url.join(path).map_err(|_| FrontendError::NotAFrontend)
    }

    /// Returns the body of an answer, or None if the frontend does not have the path.
    ///
    /// Errors if the frontend does not answer, rejects the user, fails, or answers with more than `most` bytes.
    async fn get(&self, url: Url, most: usize) -> Result<Option<Vec<u8>>, FrontendError> {
        let no_answer = |error: reqwest::Error| FrontendError::NoAnswer(error.without_url());
        let mut answer = self.authorized(self.http.get(url)).send().await.map_err(no_answer)?;
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(FrontendError::Unauthorized);
            }
            // annals answers 400 to a text that is no query id.
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
