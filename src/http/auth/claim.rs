//! What a request says of its user, beside the cookie of a session.

use headers::authorization::{Authorization, Bearer};
use headers::{Header, HeaderValue};
use warp::http::Request;
use warp::http::header::{AUTHORIZATION, ToStrError};

use super::basic::BasicAuth;
use super::proxy_login::ProxyUser;
use crate::domain::token::TokenHash;
use crate::http::error::ApiError;

/// Whom a request names as its user, and how it proves that.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Claim<'a> {
    /// The `Authorization` header.
    pub(crate) authorization: Option<&'a str>,
    /// The user whom a trusted proxy names. The header of the request counts only without one.
    pub(crate) proxied: Option<&'a ProxyUser>,
}

impl<'a> Claim<'a> {
    /// Returns the claim of a request. Errors if its header cannot be read.
    pub(in crate::http) fn of<In>(request: &'a Request<In>) -> Result<Claim<'a>, ToStrError> {
        let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::to_str);
        Ok(Claim { authorization: authorization.transpose()?, proxied: request.extensions().get() })
    }

    /// Returns the claim of a header alone.
    pub(in crate::http) fn by_header(authorization: Option<&'a str>) -> Claim<'a> {
        Claim { authorization, proxied: None }
    }

    /// Returns whether the request names no user, so that a session counts.
    pub(in crate::http) fn is_empty(self) -> bool {
        self.authorization.is_none() && self.proxied.is_none()
    }
}

/// What an `Authorization` header has.
#[derive(Debug)]
pub(in crate::http) enum Secret {
    Password(BasicAuth),
    Token(TokenHash),
}

impl Secret {
    /// Returns what a header has; none if it is neither HTTP Basic nor a token. A client that speaks only HTTP Basic sends the
    /// token as the password of any user.
    pub(in crate::http) fn read(authorization: &str) -> Option<Secret> {
        if let Some(basic) = BasicAuth::read(authorization) {
            let (_, password) = basic.name_and_password();
            return Some(TokenHash::of(password).map_or(Secret::Password(basic), Secret::Token));
        }
        let header = HeaderValue::from_str(authorization).ok()?;
        let bearer = Authorization::<Bearer>::decode(&mut std::iter::once(&header)).ok()?;
        TokenHash::of(bearer.token()).map(Secret::Token)
    }

    /// Returns the same. Errors if the header is missing, or has neither.
    pub(in crate::http) fn require(authorization: Option<&str>) -> Result<Secret, ApiError> {
        let Some(authorization) = authorization else {
            return Err(ApiError::Unauthorized(
                "this needs a user and a password (HTTP Basic), or a token (Bearer)".to_string(),
            ));
        };
        Secret::read(authorization).ok_or_else(|| {
            ApiError::Unauthorized(
                "the Authorization header is neither HTTP Basic nor a Bearer token of annals"
                    .to_string(),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;
    use crate::domain::token::TokenText;

    #[test]
    fn a_token_is_a_bearer_token_or_the_password_of_any_user() {
        let token = TokenText::new().unwrap();
        let basic = |text: String| format!("Basic {}", BASE64_STANDARD.encode(text));
        for header in [
            format!("Bearer {token}"),
            format!("bearer {token}"),
            basic(format!("root:{token}")),
            basic(format!(":{token}")),
            basic(format!("default_cluster:root:{token}")),
        ] {
            let is_token =
                matches!(Secret::read(&header), Some(Secret::Token(hash)) if hash == token.hash());
            assert!(is_token, "{header}");
        }
        for header in [basic(format!("root:{token}0")), basic("root:secret".to_string())] {
            assert!(matches!(Secret::read(&header), Some(Secret::Password(_))), "{header}");
        }
        for header in ["Bearer", "Bearer ", "Bearer eyJhbGciOi.J9.c2ln", "Token annals_00", ""] {
            assert!(Secret::read(header).is_none(), "{header}");
        }
    }
}
