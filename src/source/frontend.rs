//! A live frontend, asked over HTTP: its list of queries, and the text of a profile.
//!
//! The newest interface is tried first (`/rest/v2/manager/query/...`), then that of older versions
//! (`/rest/v1/query_profile`, `/api/profile`). Versions that do not know a path answer 404, or 200 with a
//! page for a browser.

use std::fmt;
use std::sync::Once;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde_json::{Map, Value};

use crate::profile::{Profile, from_html};
use crate::query::{Kind, Origin, QueryId, QueryRecord};
use crate::source::file::MAX_PROFILE_BYTES;
use crate::time::{Zone, parse_duration_ms, parse_instant_ms};

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
pub struct Frontend {
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
pub enum FrontendError {
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
    /// It failed.
    #[error("it answers with the HTTP status {0}")]
    Failed(StatusCode),
    /// It sent more than can be meant.
    #[error("its answer is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
}

/// The ways to ask for the list, newest first.
const LISTS: [&str; 2] = [
    "rest/v2/manager/query/query_info?is_all_node=false&limit=1000",
    "rest/v1/query_profile?limit=1000",
];

/// The ways to ask for a profile, newest first.
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
pub struct FrontendClient {
    frontend: Frontend,
    http: Client,
    /// The routes that this frontend knows, as far as was found out.
    list_route: usize,
    profile_route: usize,
}

impl FrontendClient {
    /// A client of a frontend.
    pub fn new(frontend: Frontend) -> Result<FrontendClient, FrontendError> {
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
    pub fn forget_routes(&mut self) {
        self.list_route = 0;
        self.profile_route = 0;
    }

    /// The queries that the frontend remembers, in its own order; their times are to the second. Rows that
    /// cannot be understood are left out.
    pub async fn list(&mut self) -> Result<Vec<QueryRecord>, FrontendError> {
        for (route, path) in LISTS.iter().enumerate().skip(self.list_route) {
            let body = self.get(self.at(path)?, MAX_LIST_BYTES).await?;
            let data = match body.map(|body| envelope(&body)) {
                None | Some(Envelope::None) => continue,
                Some(Envelope::Refused(401)) => return Err(FrontendError::Unauthorized),
                Some(Envelope::Refused(_)) => continue,
                Some(Envelope::Data(data)) => data,
            };
            if let Some(rows) = rows(&data) {
                self.list_route = route;
                let zone = self.frontend.zone;
                return Ok(rows.iter().filter_map(|row| listed(row, zone)).collect());
            }
        }
        Err(FrontendError::NotAFrontend)
    }

    /// The zone of the times that the frontend writes.
    pub fn zone(&self) -> Zone {
        self.frontend.zone
    }

    /// Remembers the way that [`FrontendClient::profile`] found.
    pub fn prefer_profile_route(&mut self, route: usize) {
        self.profile_route = route;
    }

    /// The text of a profile and the way by which it came; `None` where the frontend has none.
    pub async fn profile(
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
        if let ProfileRoute::Text = route
            && Profile::recognise(&body[..body.len().min(4096)])
        {
            return Ok(Said::This(body));
        }
        let data = match envelope(&body) {
            Envelope::None | Envelope::Refused(403 | 404) => return Ok(Said::NoSuchRoute),
            Envelope::Refused(401) => return Err(FrontendError::Unauthorized),
            Envelope::Refused(_) => return Ok(Said::Nothing),
            Envelope::Data(data) => data,
        };
        let text = match (route, data) {
            (ProfileRoute::Html, Value::String(html)) => from_html(&html),
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

fn envelope(body: &[u8]) -> Envelope {
    let Ok(Value::Object(mut envelope)) = serde_json::from_slice(body) else {
        return Envelope::None;
    };
    match (envelope.get("code").and_then(Value::as_i64), envelope.remove("data")) {
        (Some(0), Some(data)) => Envelope::Data(data),
        (Some(code), _) if code != 0 => Envelope::Refused(code),
        _ => Envelope::None,
    }
}

/// The columns of the manager's list, in the names of the other one. Doris names them in Chinese.
const MANAGER_COLUMNS: [(&str, &str); 9] = [
    ("Query ID", "Profile ID"),
    ("查询用户", "User"),
    ("执行数据库", "Default Db"),
    ("Sql", "Sql Statement"),
    ("查询类型", "Task Type"),
    ("开始时间", "Start Time"),
    ("结束时间", "End Time"),
    ("执行时长", "Total"),
    ("状态", "Task State"),
];

/// The rows of a list as objects, whichever interface it is of; `None` where it is no list.
fn rows(data: &Value) -> Option<Vec<Map<String, Value>>> {
    let rows = data.get("rows")?.as_array()?;
    let columns = data.get("column_names").and_then(Value::as_array);
    let named = |row: &Vec<Value>| {
        let cells = columns.into_iter().flatten().zip(row);
        let named = cells.filter_map(|(column, cell)| {
            let column = column.as_str()?;
            let known = MANAGER_COLUMNS.iter().find(|(name, _)| *name == column);
            Some((known.map_or(column, |(_, name)| name).to_string(), cell.clone()))
        });
        named.collect()
    };
    let objects = rows.iter().filter_map(|row| match row {
        Value::Object(row) => Some(row.clone()),
        Value::Array(row) => Some(named(row)),
        _ => None,
    });
    Some(objects.collect())
}

/// The records of a saved list, in its order, without rows that cannot be understood; `None` where `data` is no
/// list.
pub(super) fn records_of_list(data: &Value, zone: Zone) -> Option<Vec<QueryRecord>> {
    Some(rows(data)?.iter().filter_map(|row| listed(row, zone)).collect())
}

/// The record of a row.
fn listed(row: &Map<String, Value>, zone: Zone) -> Option<QueryRecord> {
    let text = |names: &[&str]| {
        let value = names.iter().find_map(|name| row.get(*name)?.as_str())?.trim();
        (!["", "N/A", "null"].contains(&value)).then(|| value.to_string())
    };
    let query_id = text(&["Profile ID", "Query ID", "QueryId"])?.parse().ok()?;
    let kind = text(&["Task Type", "Query Type"]).map_or(Kind::Query, |name| Kind::of_name(&name));
    let mut record = QueryRecord::new(query_id, kind, Origin::Summary);
    record.state = text(&["Task State", "Query State"]);
    record.user = text(&["User"]);
    record.catalog = text(&["Default Catalog"]);
    record.db = text(&["Default Db"]);
    record.statement = text(&["Sql Statement"]);
    record.started_ms = text(&["Start Time"]).and_then(|time| parse_instant_ms(&time, zone));
    // What a running query has of these is not how it ended.
    if !record.is_running() {
        record.ended_ms = text(&["End Time"]).and_then(|time| parse_instant_ms(&time, zone));
        record.duration_ms = text(&["Total"]).and_then(|time| parse_duration_ms(&time));
    }
    Some(record)
}
