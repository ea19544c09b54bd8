//! Tokens: what programs send in place of a name and a password.

use std::fmt;

use blake2::{Blake2s256, Digest};

use super::account::Role;

/// How every token begins, so that a scanner of files for secrets finds one.
const PREFIX: &str = "annals_";

/// The random part of a token: nobody guesses 160 bits, so a fast hash protects a token, unlike a password.
const RANDOM_BYTES: usize = 20;

/// The hash of a token's text (BLAKE2s-256). A token is looked up by its hash, so the time of a comparison tells nothing
/// about the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash([u8; 32]);

/// A token as it is stored: without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub name: String,
    pub role: Role,
    pub hash: TokenHash,
    /// When the token was made, in Unix milliseconds.
    pub created_ms: i64,
    /// When the token ends, in Unix milliseconds; none if it is valid until it is removed.
    pub expires_ms: Option<i64>,
    /// The last use, to the hour, in Unix milliseconds; none if nobody used the token.
    pub used_ms: Option<i64>,
    /// The user whose queries alone the token may see. None if the role sees the queries of all users.
    pub user: Option<String>,
    /// The clusters whose queries alone the token may see and push; none for all queries.
    pub clusters: Option<Vec<String>>,
}

/// The text of a new token, which is shown once.
pub(crate) struct TokenText(String);

impl TokenText {
    /// Returns a new text. Errors if the system has no random numbers.
    pub(crate) fn new() -> Result<TokenText, getrandom::Error> {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random)?;
        let number: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(TokenText(format!("{PREFIX}{number}")))
    }

    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash::of_bytes(&self.0)
    }
}

impl fmt::Display for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TokenHash {
    /// Returns the hash of a text; none if the text cannot be a token.
    pub(crate) fn of(text: &str) -> Option<TokenHash> {
        let number = text.strip_prefix(PREFIX)?;
        let is_hex = number.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (number.len() == 2 * RANDOM_BYTES && is_hex).then(|| TokenHash::of_bytes(text))
    }

    fn of_bytes(text: &str) -> TokenHash {
        TokenHash(Blake2s256::digest(text).into())
    }

    /// Returns a stored hash; none if it has another length.
    pub(crate) fn of_stored(hash: &[u8]) -> Option<TokenHash> {
        hash.try_into().ok().map(TokenHash)
    }

    /// Returns the hash as it is stored.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Token {
    /// Returns whether the token has ended.
    pub(crate) fn has_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_token_only_in_the_form_of_a_new_one() {
        let (one, other) = (TokenText::new().unwrap(), TokenText::new().unwrap());
        assert_eq!(TokenHash::of(&one.to_string()), Some(one.hash()));
        assert_ne!(one.hash(), other.hash());
        assert_eq!(TokenHash::of_stored(one.hash().as_bytes()), Some(one.hash()));
        let text = one.to_string();
        for wrong in [
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}0"),
            &format!("{} ", &text[..text.len() - 1]),
            &text.replace("annals_", "ANNALS_"),
            "annals_",
            "",
        ] {
            assert_eq!(TokenHash::of(wrong), None, "{wrong}");
        }
    }
}
