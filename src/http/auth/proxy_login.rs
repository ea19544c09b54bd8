//! Single sign-on: a proxy that logs users in names the user of each request in a header.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;
use warp::http::HeaderMap;
use warp::http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName};

use crate::domain::account::{Account, Role};
use crate::http::error::ApiError;

/// Which proxies name users, and how. `annals.example.toml` explains each setting.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "ProxyLoginText")]
pub(crate) struct ProxyLogin {
    /// The header with the name of the user.
    header: HeaderName,
    /// The addresses of the proxies. The header of any other address is ignored.
    trusted: Vec<IpNet>,
    /// The role of users without an account; none if they are rejected.
    pub(super) default_role: Option<Role>,
    /// Where the proxy ends its session, if annals knows.
    log_out_url: Option<Arc<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProxyLoginText {
    header: String,
    trusted_proxies: Vec<String>,
    default_role: Option<String>,
    log_out_url: Option<String>,
}

impl TryFrom<ProxyLoginText> for ProxyLogin {
    type Error = String;

    fn try_from(text: ProxyLoginText) -> Result<ProxyLogin, String> {
        let header = header_of(&text.header)?;
        let trusted: Result<Vec<_>, _> =
            text.trusted_proxies.iter().map(|it| network_of(it)).collect();
        let trusted = trusted?;
        if trusted.is_empty() {
            return Err(
                "trusted_proxies is empty; name the addresses of the proxies, like [\"10.0.0.5\"]"
                    .to_string(),
            );
        }
        Ok(ProxyLogin {
            header,
            trusted,
            default_role: text.default_role.as_deref().map(default_role_of).transpose()?,
            log_out_url: text.log_out_url.map(log_out_url_of).transpose()?,
        })
    }
}

fn header_of(text: &str) -> Result<HeaderName, String> {
    let header: HeaderName = text.parse().map_err(|_| {
        format!("header is the name of a header, like X-Forwarded-User, and {text:?} is none")
    })?;
    match [AUTHORIZATION, COOKIE, HOST].contains(&header) {
        true => Err(format!("header cannot be {text}, which every client sends")),
        false => Ok(header),
    }
}

/// Parses an address, or a network like 10.0.0.0/8.
fn network_of(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network: IpNet = network.map_err(|_| {
        format!("{text:?} in trusted_proxies is no address like 10.0.0.5, and no network like 10.0.0.0/24")
    })?;
    match network.prefix_len() {
        0 => Err(format!("{text} in trusted_proxies would let everybody name any user")),
        _ => Ok(network),
    }
}

/// Parses the role of users without an account. Who comes through a proxy only reads.
fn default_role_of(text: &str) -> Result<Role, String> {
    match text.parse() {
        Ok(role @ (Role::User | Role::Viewer)) => Ok(role),
        _ => Err(format!("default_role is user or viewer, and not {text:?}")),
    }
}

fn log_out_url_of(text: String) -> Result<Arc<str>, String> {
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let is_url = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    match (is_path || is_url) && is_plain {
        true => Ok(text.into()),
        false => Err(format!(
            "log_out_url is a path like /oauth2/sign_out or a URL, and {text:?} is none"
        )),
    }
}

/// Whom a trusted proxy names as the user of a request. The header decides alone: no password, token or session of the
/// request replaces a user whom the proxy names wrongly.
#[derive(Debug, Clone)]
pub(crate) enum ProxyUser {
    Named(Arc<str>),
    /// There are several headers, or several names in one: a client may have sent one of them.
    Several,
    /// The header has no name, or none that a user can have.
    Invalid,
}

impl ProxyLogin {
    /// Returns whom the sender of a request names as its user. None if the sender is no trusted proxy, or names nobody.
    pub(crate) fn user_of(&self, sender: IpAddr, headers: &HeaderMap) -> Option<ProxyUser> {
        let sender = sender.to_canonical();
        if !self.trusted.iter().any(|network| network.contains(&sender)) {
            return None;
        }
        let mut values = headers.get_all(&self.header).iter();
        let value = values.next()?;
        let name = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
        Some(if values.next().is_some() || name.contains(',') {
            ProxyUser::Several
        } else if Account::check_name(name).is_err() || name == "(null)" {
            // Apache writes "(null)" for nobody.
            ProxyUser::Invalid
        } else {
            ProxyUser::Named(name.into())
        })
    }

    /// Returns the path or the URL at which the proxy ends its session, if annals knows.
    pub(crate) fn log_out_url(&self) -> Option<&str> {
        self.log_out_url.as_deref()
    }

    /// Returns the name of a user. Errors if the proxy names several, or none.
    pub(super) fn name<'u>(&self, user: &'u ProxyUser) -> Result<&'u str, ApiError> {
        match user {
            ProxyUser::Named(name) => Ok(name),
            ProxyUser::Several => Err(ApiError::BadRequest(format!(
                "the request has several users in the header {}; the proxy has to replace what a client sends",
                self.header
            ))),
            ProxyUser::Invalid => Err(ApiError::Forbidden(format!(
                "the proxy names no user: the header {} has none that a user can have",
                self.header
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy_login(text: &str) -> Result<ProxyLogin, String> {
        toml::from_str(text).map_err(|error| error.message().to_string())
    }

    const PLAIN: &str = "header = 'X-Forwarded-User'\n";

    #[test]
    fn settings_that_trust_too_much_or_nobody_are_rejected() {
        for (settings, sentence) in [
            ("header = 'X User'\ntrusted_proxies = ['10.0.0.5']", "header is the name of a header"),
            ("header = 'Cookie'\ntrusted_proxies = ['10.0.0.5']", "which every client sends"),
            ("header = 'X-User'\ntrusted_proxies = []", "trusted_proxies is empty"),
            ("header = 'X-User'\ntrusted_proxies = ['localhost']", "is no address like 10.0.0.5"),
            ("header = 'X-User'\ntrusted_proxies = ['0.0.0.0/0']", "would let everybody"),
            ("header = 'X-User'\ntrusted_proxies = ['::/0']", "would let everybody"),
            ("header = 'X-User'", "missing field `trusted_proxies`"),
        ] {
            let error = proxy_login(settings).unwrap_err();
            assert!(error.contains(sentence), "{settings}: {error}");
        }
        for (setting, sentence) in [
            ("default_role = 'admin'", "default_role is user or viewer"),
            ("log_out_url = 'javascript:alert(1)'", "log_out_url is a path"),
            ("log_out_url = '//evil.example'", "log_out_url is a path"),
            ("trusted = ['10.0.0.5']", "unknown field `trusted`"),
        ] {
            let error = format!("{PLAIN}trusted_proxies = ['10.0.0.5']\n{setting}");
            let error = proxy_login(&error).unwrap_err();
            assert!(error.contains(sentence), "{setting}: {error}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_names_one_user() {
        let trusted = "trusted_proxies = ['10.0.0.5', '192.168.0.0/16', '2001:db8::/64']";
        let proxy_login = proxy_login(&format!("{PLAIN}{trusted}")).unwrap();
        let named = |sender: &str, values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-user", value.to_vec().try_into().unwrap());
            }
            let user = proxy_login.user_of(sender.parse().unwrap(), &headers)?;
            Some(proxy_login.name(&user).map_or("-".to_string(), str::to_string))
        };
        for sender in ["10.0.0.5", "192.168.7.8", "::ffff:10.0.0.5", "2001:db8::17"] {
            assert_eq!(named(sender, &[b"alice"]).as_deref(), Some("alice"), "{sender}");
            assert_eq!(named(sender, &[]), None, "{sender}");
        }
        for sender in ["10.0.0.6", "127.0.0.1", "::1", "2001:db8:0:1::17"] {
            assert_eq!(named(sender, &[b"alice"]), None, "{sender}");
        }
        let rejected: [&[&[u8]]; 7] = [
            &[b"alice", b"alice"],
            &[b"alice", b"bob"],
            &[b"alice, bob"],
            &[b""],
            &[b"(null)"],
            &[b"a:b"],
            &[b"\xff"],
        ];
        for values in rejected {
            assert_eq!(named("10.0.0.5", values).as_deref(), Some("-"), "{values:?}");
        }
        assert_eq!(named("10.0.0.5", &["jürgen".as_bytes()]).as_deref(), Some("jürgen"));
    }
}
