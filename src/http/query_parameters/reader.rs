//! Reads parameters to the struct that an endpoint has of them.

use std::fmt::Display;

use serde::Deserialize;
use serde::de::value::{SeqDeserializer, StrDeserializer};
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

/// The most values of one parameter.
pub(crate) const MAX_VALUES: usize = 100;

/// Reads all parameters, for annals' own interface. Errors at one that `P` does not have, at an empty one, and at several
/// values of one that has a single value: a misspelt filter must not look like none.
pub(crate) fn read_all<P: DeserializeOwned>(parameters: &Parameters) -> Result<P, ApiError> {
    if let Some((name, _)) = parameters.iter().find(|(_, value)| value.is_empty()) {
        return Err(ApiError::BadRequest(format!("{name} is empty")));
    }
    read(parameters, true)
}

/// Reads the parameters that `P` has and passes over others, for Doris' clients send more. An empty one counts as
/// missing, for forms send their empty fields. Of several values of one that has a single value, the last counts.
pub(crate) fn read_known<P: DeserializeOwned>(parameters: &Parameters) -> Result<P, ApiError> {
    read(parameters, false)
}

fn read<P: DeserializeOwned>(parameters: &Parameters, is_strict: bool) -> Result<P, ApiError> {
    // By name, so that the same mistake is the same answer each time.
    let named = parameters.by_name().map(|(name, values)| (name, Values { values, is_strict }));
    let named = Named { named: named.collect(), is_strict };
    P::deserialize(named).map_err(|error| ApiError::BadRequest(error.sentence("the parameter")))
}

/// A parameter that a path does not have.
#[derive(Debug)]
pub(crate) struct UnknownParameter {
    /// What is wrong, for the person who sent it.
    pub sentence: String,
    /// The parameter that was meant, with a value of the other one; None if no parameter is like it.
    pub meant: Option<String>,
    /// The parameters that the path has. A wrong name is replaced by the name that was meant, with its value.
    pub repaired: Parameters,
}

/// Errors at the first parameter that is none of the `known`.
pub(crate) fn reject_unknown(parameters: &Parameters, known: &[&str]) -> Result<(), ApiError> {
    let unknown = parameters.by_name().find(|(name, _)| !known.contains(name));
    let Some((name, values)) = unknown else { return Ok(()) };
    let renamed = |(name, value): (&str, &str)| {
        let name = if known.contains(&name) { name.to_string() } else { meant(name, known)? };
        Some((name, value.to_string()))
    };
    let meant = meant(name, known).zip(values.first());
    Err(ApiError::UnknownParameter(UnknownParameter {
        sentence: unknown_parameter(name, values, known),
        meant: meant.map(|(name, value)| format!("{name}={value}")),
        repaired: parameters.iter().filter_map(renamed).collect(),
    }))
}

/// Returns what is wrong with a parameter that is none of the `known`: the one that was meant, or else all of them.
fn unknown_parameter(name: &str, values: &[String], known: &[&str]) -> String {
    let value = |meant: &str| match values {
        // Who writes `user!=etl` may not see that the name is another one.
        [value, ..] if name.ends_with(EXCLUDING) => format!("{meant}={value}"),
        _ => meant.to_string(),
    };
    match meant(name, known) {
        Some(meant) => format!("unknown parameter {name:?}; did you mean {}?", value(&meant)),
        None if known.is_empty() => format!("unknown parameter {name:?}; this path has none"),
        None => format!("unknown parameter {name:?}; the parameters are {}", known.join(", ")),
    }
}

/// What `user!=etl` leaves at the end of the name.
const EXCLUDING: char = '!';

/// What other parts of annals and other tools call a parameter.
const SYNONYMS: [(&str, &str); 8] = [
    ("sort", "order"),
    ("against", "baseline"),
    ("database", "db"),
    ("not_database", "not_db"),
    ("failed", "is_failed"),
    ("kind", "type"),
    ("start", "from"),
    ("end", "to"),
];

/// Returns the one of the `known` that somebody meant who wrote another name; None if none is like it.
fn meant(name: &str, known: &[&str]) -> Option<String> {
    let plain = |name: &str| {
        let synonym = SYNONYMS.iter().find(|(synonym, _)| *synonym == name);
        synonym.map_or(name, |(_, name)| name).to_string()
    };
    let other = match name.strip_suffix(EXCLUDING) {
        Some(name) => format!("not_{}", plain(name)),
        None => plain(name),
    };
    if known.contains(&&*other) {
        return Some(other);
    }
    let distance = |it: &str| strsim::damerau_levenshtein(name, it);
    // A short name that differs in two letters is another one.
    let most = (name.chars().count() / 3).clamp(1, 3);
    // The parameter of a client may have any length.
    let near = known.iter().filter(|it| it.len().abs_diff(name.len()) <= most);
    let near = near.min_by_key(|it| distance(it)).filter(|it| distance(it) <= most);
    near.map(ToString::to_string)
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

struct Named<'p> {
    named: Vec<(&'p str, Values<'p>)>,
    is_strict: bool,
}

impl<'p> Deserializer<'p> for Named<'p> {
    type Error = ParameterError;

    fn deserialize_any<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, ParameterError> {
        visitor.visit_map(Remaining { named: self.named.into_iter(), last: None })
    }

    fn deserialize_struct<V: Visitor<'p>>(
        mut self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParameterError> {
        let other = self.named.iter().find(|(name, _)| !known.contains(name));
        if let Some((name, Values { values, .. })) = other.filter(|_| self.is_strict) {
            return Err(ParameterError::Sentence(unknown_parameter(name, values, known)));
        }
        self.named.retain(|(name, _)| known.contains(name));
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        <V: Visitor<'p>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The parameters that are not read yet, and the one whose name was read last.
struct Remaining<'p> {
    named: std::vec::IntoIter<(&'p str, Values<'p>)>,
    last: Option<(&'p str, Values<'p>)>,
}

impl<'p> MapAccess<'p> for Remaining<'p> {
    type Error = ParameterError;

    fn next_key_seed<K: DeserializeSeed<'p>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ParameterError> {
        self.last = self.named.next();
        let Some((name, _)) = self.last else { return Ok(None) };
        let name: StrDeserializer<'_, ParameterError> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'p>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, ParameterError> {
        let (name, values) = self.last.unwrap_or(("", Values { values: &[], is_strict: false }));
        seed.deserialize(values).map_err(|error| ParameterError::Sentence(error.sentence(name)))
    }
}

/// The values of a parameter. A type that is no sequence takes one of them.
#[derive(Clone, Copy)]
struct Values<'p> {
    values: &'p [String],
    is_strict: bool,
}

impl<'p> Values<'p> {
    fn single(self) -> Result<Text<'p>, ParameterError> {
        match self.values {
            [_, _, ..] if self.is_strict => {
                Err(ParameterError::NotA("one value; it is given several times".to_string()))
            }
            [.., last] => Ok(Text(last)),
            [] => Ok(Text("")),
        }
    }
}

impl<'p> Deserializer<'p> for Values<'p> {
    type Error = ParameterError;

    fn deserialize_any<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, ParameterError> {
        self.single()?.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, ParameterError> {
        self.single()?.deserialize_option(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'p>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ParameterError> {
        self.single()?.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_bool<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, ParameterError> {
        self.single()?.deserialize_bool(visitor)
    }

    fn deserialize_seq<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, ParameterError> {
        let texts = self.values.iter().map(String::as_str).filter(|value| !value.is_empty());
        let texts: Vec<&str> = texts.collect();
        if texts.len() > MAX_VALUES {
            return Err(ParameterError::NotA(format!("at most {MAX_VALUES} values")));
        }
        visitor.visit_seq(SeqDeserializer::new(texts.into_iter()))
    }

    forward_to_deserialize_any! {
        <V: Visitor<'p>>
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map struct enum identifier ignored_any
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
    use super::super::ListParameters;
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
        let near = rejected::<Sample>(&[("flags", "true")]);
        assert_eq!(near, "unknown parameter \"flags\"; did you mean flag?");
        for (name, meant) in [
            ("user!", "not_user=etl"),
            ("database!", "not_db=etl"),
            ("database", "db"),
            ("sort", "order"),
            ("start", "from"),
            ("end", "to"),
        ] {
            let sentence = rejected::<ListParameters>(&[(name, "etl")]);
            assert_eq!(sentence, format!("unknown parameter {name:?}; did you mean {meant}?"));
        }
        assert_eq!(rejected::<Sample>(&[("name", "")]), "name is empty");
        assert_eq!(rejected::<Sample>(&[("flag", "yes")]), "flag must be true or false");

        let sample = read_known::<Sample>(&of(&[("other", "a"), ("name", ""), ("flag", "true")]));
        let Sample { name, flag } = sample.unwrap();
        assert_eq!((name, flag), (None, Some(true)));
    }
}
