//! A frontend of Doris or StarRocks that answers with a script.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use warp::Filter;
use warp::http::Response;

/// The password of `root`.
pub(crate) const PASSWORD: &str = "s3cret-Pa55";

/// The answers of a frontend, and the requests it received.
#[derive(Default)]
pub(crate) struct Script {
    /// Status and body by path and query. The body of a redirect is its location.
    pub(crate) answers: HashMap<String, (u16, String)>,
    pub(crate) requests: Vec<String>,
    pub(crate) rejects_password: bool,
    pub(crate) hangs: bool,
}

/// A server that answers with a script.
#[derive(Clone)]
pub(crate) struct Frontend {
    pub(crate) address: String,
    pub(crate) script: Arc<Mutex<Script>>,
}

impl Frontend {
    pub(crate) fn start() -> Frontend {
        let script = Arc::new(Mutex::new(Script::default()));
        let (address, started) = std::sync::mpsc::channel();
        let served = script.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                address.send(listener.local_addr().unwrap().to_string()).unwrap();
                let query = warp::query::raw().or(warp::any().map(String::new)).unify();
                let routes = warp::path::full()
                    .and(query)
                    .and(warp::header::optional("authorization"))
                    .then(
                        move |path: warp::path::FullPath,
                              query: String,
                              authorization: Option<String>| {
                            answer(served.clone(), path.as_str().to_string(), query, authorization)
                        },
                    );
                warp::serve(routes).incoming(listener).run().await;
            });
        });
        Frontend { address: started.recv().unwrap(), script }
    }

    pub(crate) fn answers(&self, path: &str, body: impl ToString) {
        self.script.lock().unwrap().answers.insert(path.to_string(), (200, body.to_string()));
    }

    pub(crate) fn fails(&self, path: &str, status: u16) {
        let answer = (status, "no JSON".to_string());
        self.script.lock().unwrap().answers.insert(path.to_string(), answer);
    }

    /// Returns the number of requests for paths with this prefix.
    pub(crate) fn requests(&self, start: &str) -> usize {
        let script = self.script.lock().unwrap();
        script.requests.iter().filter(|path| path.starts_with(start)).count()
    }
}

async fn answer(
    script: Arc<Mutex<Script>>,
    path: String,
    query: String,
    authorization: Option<String>,
) -> Response<String> {
    // The script has only the parameter `query_id`.
    let query: Vec<&str> = query.split('&').filter(|one| one.starts_with("query_id=")).collect();
    let path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
    let (status, body, hangs) = {
        let mut script = script.lock().unwrap();
        script.requests.push(path.clone());
        // root:s3cret-Pa55
        let known = authorization.as_deref() == Some("Basic cm9vdDpzM2NyZXQtUGE1NQ==");
        let (status, body) = match script.answers.get(&path) {
            _ if script.rejects_password || !known => (401, json!({"code": 401}).to_string()),
            Some(answer) => answer.clone(),
            None => (404, "<html>nothing here</html>".to_string()),
        };
        (status, body, script.hangs)
    };
    if hangs {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    match status {
        302 => {
            Response::builder().status(302).header("location", body).body(String::new()).unwrap()
        }
        _ => Response::builder().status(status).body(body).unwrap(),
    }
}

/// Returns the envelope of a successful answer.
pub(crate) fn ok(data: Value) -> String {
    json!({"msg": "success", "code": 0, "data": data, "count": 0}).to_string()
}

/// Returns a row of the list `/rest/v1/query_profile`.
pub(crate) fn row(id: &str, state: &str) -> Value {
    json!({
        "Profile ID": id, "Task Type": "QUERY", "Start Time": "2024-08-06 11:16:00",
        "End Time": "2024-08-06 11:16:01", "Total": "1sec52ms", "Task State": state, "User": "alice",
        "Default Catalog": "internal", "Default Db": "shop", "Sql Statement": format!("select '{id}'"),
        "__hrefPaths": [format!("/query_profile/{id}")],
    })
}

/// Returns the answer of `/rest/v1/query_profile`.
pub(crate) fn list(rows: &[Value]) -> String {
    ok(json!({"column_names": [], "href_column": ["Profile ID"], "rows": rows}))
}
