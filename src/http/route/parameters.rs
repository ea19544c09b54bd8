//! The parameters behind the question mark.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The parameters behind the question mark: names with their values, by name. A name may have several values, in the order
/// in which they were sent.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(from = "Vec<(String, String)>")]
pub(crate) struct Parameters(BTreeMap<String, Vec<String>>);

impl Parameters {
    pub(crate) fn new() -> Parameters {
        Parameters::default()
    }

    /// Returns the last value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&String> {
        self.all(name).last()
    }

    /// Returns all values of a name.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn contains_key(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives a name this value alone.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_string(), vec![value.into()]);
    }

    /// Removes a name. Returns its last value.
    pub(crate) fn remove(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).and_then(|mut values| values.pop())
    }

    /// Keeps what `is_kept` accepts.
    pub(crate) fn retain(&mut self, mut is_kept: impl FnMut(&str, &str) -> bool) {
        self.0.retain(|name, values| {
            values.retain(|value| is_kept(name, value));
            !values.is_empty()
        });
    }

    /// Returns each name with all its values.
    pub(crate) fn by_name(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// Returns each value with its name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_name().flat_map(|(name, values)| values.iter().map(move |it| (name, it.as_str())))
    }
}

impl FromIterator<(String, String)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Parameters {
        let mut parameters = Parameters::new();
        for (name, value) in pairs {
            parameters.0.entry(name).or_default().push(value);
        }
        parameters
    }
}

impl From<Vec<(String, String)>> for Parameters {
    fn from(pairs: Vec<(String, String)>) -> Parameters {
        pairs.into_iter().collect()
    }
}
