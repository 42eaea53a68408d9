//! A Hugging Face `config.json` becomes an [`Architecture`].
//!
//! Keys and their defaults are those of the configuration classes of transformers 5.23; other
//! names of the same key are understood. What a family does not say in its configuration (biases,
//! norms, what is one matrix) is in [`decoders`], [`encoders`] and [`pairs`].

mod decoders;
mod encoders;
mod hybrids;
mod images;
mod keys;
mod pairs;
mod relatives;

use std::borrow::Cow;

use serde_json::Value;
use thiserror::Error;

pub use keys::KeyError;

use crate::Architecture;
use keys::Keys;

/// A configuration, as far as memory depends on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The model's shape.
    pub architecture: Architecture,
    /// Bytes of an element as the configuration states its type, where it does.
    pub element: Option<u64>,
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Larger than any configuration.
    #[error("the configuration is too large: {bytes} bytes, at most {LARGEST} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not JSON, or not an object.
    #[error("not a configuration: {0}")]
    NotJson(String),
    /// A key that is missing or absurd.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A family whose layers are not known.
    #[error("model_type {family:?} is not known{}", near(.similar))]
    UnknownFamily {
        /// The family as it is named.
        family: String,
        /// Known families of a similar name.
        similar: Vec<&'static str>,
    },
}

fn near(similar: &[&str]) -> String {
    if similar.is_empty() { String::new() } else { format!("; similar: {}", similar.join(", ")) }
}

/// The largest configuration that is read, in bytes.
const LARGEST: usize = 4 << 20;

/// A family's reader.
type Reader = fn(&Keys<'_>) -> Result<Architecture, KeyError>;

/// Every family, by `model_type`.
fn families() -> impl Iterator<Item = (&'static str, Reader)> {
    [
        decoders::FAMILIES,
        relatives::FAMILIES,
        hybrids::FAMILIES,
        encoders::FAMILIES,
        pairs::FAMILIES,
        images::FAMILIES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Names of all families that are known.
pub fn families_known() -> impl Iterator<Item = &'static str> {
    families().map(|(name, _)| name)
}

/// Reads a configuration.
pub fn read_config(text: &str) -> Result<Config, ConfigError> {
    if text.len() > LARGEST {
        return Err(ConfigError::TooLarge { bytes: text.len() });
    }
    let text = without_infinities(text);
    let value: Value =
        serde_json::from_str(&text).map_err(|error| ConfigError::NotJson(error.to_string()))?;
    read_value(&value)
}

/// Python writes `Infinity` and `NaN`, which are no JSON: `null` here.
fn without_infinities(text: &str) -> Cow<'_, str> {
    if !text.contains("Infinity") && !text.contains("NaN") {
        return Cow::Borrowed(text);
    }
    // Every second part lies in quotes; an escaped quote only moves the border.
    let parts = text.split('"').enumerate().map(|(number, part)| {
        if number % 2 == 1 {
            return part.to_owned();
        }
        part.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null")
    });
    Cow::Owned(parts.collect::<Vec<_>>().join("\""))
}

/// Reads an inner configuration as that of `family`.
fn read_keys(family: &str, keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let known = families().find(|(name, _)| *name == family);
    known.map_or_else(|| Err(KeyError::missing("model_type")), |(_, read)| read(keys))
}

/// Reads a configuration that is parsed already.
pub(crate) fn read_value(value: &Value) -> Result<Config, ConfigError> {
    let keys = Keys::new(value)
        .ok_or_else(|| ConfigError::NotJson("its outermost value is no object".to_owned()))?;
    let family = keys.text("model_type").ok_or(KeyError::missing("model_type"))?;
    let Some((_, read)) = families().find(|(name, _)| *name == family) else {
        return Err(ConfigError::UnknownFamily {
            family: family.to_owned(),
            similar: similar(family),
        });
    };
    let mut architecture = read(&keys)?;
    family.clone_into(&mut architecture.family);
    architecture.name =
        keys.text("_name_or_path").filter(|name| !name.is_empty()).map(str::to_owned);
    let element = match keys.text("dtype").or_else(|| keys.text("torch_dtype")) {
        Some("float32") => Some(4),
        Some("float16" | "bfloat16") => Some(2),
        _ => None,
    };
    Ok(Config { architecture, element })
}

/// Known families that share most of a name's letters.
fn similar(family: &str) -> Vec<&'static str> {
    let start: String = family.chars().take_while(char::is_ascii_alphabetic).take(4).collect();
    let same = |name: &&str| start.len() > 2 && name.starts_with(start.as_str());
    families_known().filter(same).take(6).collect()
}
