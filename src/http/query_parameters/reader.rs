//! Reads parameters to the struct that an endpoint has of them.

use std::fmt::Display;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, Expected, IntoDeserializer, MapAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::http::error::ApiError;
use crate::http::route::Parameters;

/// What a path without parameters takes.
#[derive(Debug, Deserialize)]
pub(crate) struct NoParameters {}

/// Reads all parameters, for annals' own interface. Errors at one that `P` does not have, and at an empty one: a
/// misspelt filter must not look like none.
pub(crate) fn read_all<P: DeserializeOwned>(parameters: &Parameters) -> Result<P, ApiError> {
    if let Some((name, _)) = sorted(parameters).into_iter().find(|(_, value)| value.is_empty()) {
        return Err(ApiError::BadRequest(format!("{name} is empty")));
    }
    read(parameters, true)
}

/// Reads the parameters that `P` has and passes over others, for Doris' clients send more. An empty one counts as
/// missing, for forms send their empty fields.
pub(crate) fn read_known<P: DeserializeOwned>(parameters: &Parameters) -> Result<P, ApiError> {
    read(parameters, false)
}

fn read<P: DeserializeOwned>(parameters: &Parameters, is_strict: bool) -> Result<P, ApiError> {
    let pairs = Pairs { pairs: sorted(parameters), is_strict };
    P::deserialize(pairs).map_err(|error| ApiError::BadRequest(error.sentence("the parameter")))
}

/// Sorted by name, so that the same mistake is the same answer each time.
fn sorted(parameters: &Parameters) -> Vec<(&str, &str)> {
    let pairs = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    pairs
}

/// Why parameters cannot be read.
#[derive(Debug)]
enum ParameterError {
    /// The value is not what its type expects.
    NotA(String),
    Sentence(String),
}

impl ParameterError {
    /// Returns the error for the person who sent the parameter `name`.
    fn sentence(self, name: &str) -> String {
        match self {
            ParameterError::NotA(expected) => format!("{name} must be {expected}"),
            ParameterError::Sentence(sentence) => sentence,
        }
    }
}

impl Display for ParameterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ParameterError::NotA(expected) => write!(f, "not {expected}"),
            ParameterError::Sentence(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for ParameterError {}

impl Error for ParameterError {
    fn custom<T: Display>(sentence: T) -> ParameterError {
        ParameterError::Sentence(sentence.to_string())
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> ParameterError {
        ParameterError::NotA(expected.to_string())
    }
}

struct Pairs<'p> {
    pairs: Vec<(&'p str, &'p str)>,
    is_strict: bool,
}

impl<'p> Deserializer<'p> for Pairs<'p> {
    type Error = ParameterError;

    fn deserialize_any<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, ParameterError> {
        visitor.visit_map(Remaining { pairs: self.pairs.into_iter(), value: ("", "") })
    }

    fn deserialize_struct<V: Visitor<'p>>(
        mut self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParameterError> {
        let unknown = self.pairs.iter().find(|(name, _)| !known.contains(name));
        if let Some((name, _)) = unknown.filter(|_| self.is_strict) {
            return Err(ParameterError::Sentence(match known {
                [] => format!("unknown parameter {name:?}; this path has none"),
                known => {
                    format!("unknown parameter {name:?}; the parameters are {}", known.join(", "))
                }
            }));
        }
        self.pairs.retain(|(name, _)| known.contains(name));
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        <V: Visitor<'p>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The parameters that are not read yet, and the value of the name that was read last.
struct Remaining<'p> {
    pairs: std::vec::IntoIter<(&'p str, &'p str)>,
    value: (&'p str, &'p str),
}

impl<'p> MapAccess<'p> for Remaining<'p> {
    type Error = ParameterError;

    fn next_key_seed<K: DeserializeSeed<'p>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ParameterError> {
        let Some(pair) = self.pairs.next() else {
            return Ok(None);
        };
        self.value = pair;
        let name: StrDeserializer<'_, ParameterError> = pair.0.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'p>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, ParameterError> {
        let (name, value) = self.value;
        seed.deserialize(Text(value))
            .map_err(|error| ParameterError::Sentence(error.sentence(name)))
    }
}

/// The text of a value.
struct Text<'p>(&'p str);

impl<'p> Deserializer<'p> for Text<'p> {
    type Error = ParameterError;

    fn deserialize_any<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, ParameterError> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, ParameterError> {
        if self.0.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'p>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParameterError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bool<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, ParameterError> {
        match self.0.parse() {
            Ok(value) => visitor.visit_bool(value),
            Err(_) => Err(ParameterError::NotA("true or false".to_string())),
        }
    }

    forward_to_deserialize_any! {
        <V: Visitor<'p>>
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample {
        name: Option<String>,
        flag: Option<bool>,
    }

    fn of(pairs: &[(&str, &str)]) -> Parameters {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn rejected<P: DeserializeOwned + std::fmt::Debug>(pairs: &[(&str, &str)]) -> String {
        let ApiError::BadRequest(sentence) = read_all::<P>(&of(pairs)).unwrap_err() else {
            panic!("not a bad request");
        };
        sentence
    }

    #[test]
    fn what_is_unknown_or_empty_is_an_error_or_passed_over() {
        let unknown = rejected::<Sample>(&[("other", "a"), ("flag", "true")]);
        assert_eq!(unknown, "unknown parameter \"other\"; the parameters are name, flag");
        let none = rejected::<NoParameters>(&[("x", "1")]);
        assert_eq!(none, "unknown parameter \"x\"; this path has none");
        assert_eq!(rejected::<Sample>(&[("name", "")]), "name is empty");
        assert_eq!(rejected::<Sample>(&[("flag", "yes")]), "flag must be true or false");

        let sample = read_known::<Sample>(&of(&[("other", "a"), ("name", ""), ("flag", "true")]));
        let Sample { name, flag } = sample.unwrap();
        assert_eq!((name, flag), (None, Some(true)));
    }
}
