//! Reads keys of a configuration, under their several names, within bounds.

use serde_json::{Map, Value};
use thiserror::Error;

/// A key that is missing or absurd.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key}: {what}")]
pub struct KeyError {
    /// The key.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

impl KeyError {
    pub(super) fn missing(key: &str) -> KeyError {
        KeyError { key: key.to_owned(), what: "missing".to_owned() }
    }
}

/// Larger counts and widths than this are no model's.
const LARGEST: u64 = 1 << 26;
/// More layers than this are no model's.
const MOST_LAYERS: u64 = 100_000;

/// Names of the same thing.
const OTHER_NAMES: &[(&str, &[&str])] = &[
    ("hidden_size", &["n_embd", "d_model", "dim", "model_dim"]),
    ("num_hidden_layers", &["n_layer", "n_layers", "num_layers"]),
    ("num_attention_heads", &["n_head", "n_heads", "num_heads"]),
    ("num_key_value_heads", &["num_kv_heads", "n_kv_heads"]),
    ("intermediate_size", &["n_inner", "ffn_dim", "d_ff", "hidden_dim", "ffn_hidden_size"]),
    ("max_position_embeddings", &["n_positions", "max_seq_len"]),
    ("hidden_act", &["activation_function", "activation", "hidden_activation"]),
    ("num_experts", &["num_local_experts", "n_routed_experts", "moe_num_experts"]),
    ("num_experts_per_tok", &["experts_per_token", "moe_top_k"]),
    (
        "hidden_dropout",
        &["hidden_dropout_prob", "resid_pdrop", "dropout", "residual_dropout", "dropout_rate"],
    ),
    ("attention_dropout", &["attention_probs_dropout_prob", "attn_pdrop"]),
    ("embedding_dropout", &["embd_pdrop", "embd_dropout"]),
];

/// A configuration's keys.
#[derive(Clone, Debug)]
pub(crate) struct Keys<'v> {
    map: &'v Map<String, Value>,
}

impl<'v> Keys<'v> {
    pub(crate) fn new(value: &'v Value) -> Option<Keys<'v>> {
        value.as_object().map(|map| Keys { map })
    }

    pub(crate) fn of(map: &'v Map<String, Value>) -> Keys<'v> {
        Keys { map }
    }

    pub(crate) fn optional_flag(&self, key: &str) -> Option<bool> {
        self.map.get(key).and_then(Value::as_bool)
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// A configuration inside this one.
    pub(crate) fn inner(&self, key: &str) -> Option<Keys<'v>> {
        self.map.get(key).and_then(Keys::new)
    }

    fn value(&self, key: &str) -> Option<&'v Value> {
        let others = OTHER_NAMES.iter().find(|(name, _)| *name == key).map_or(&[][..], |(_, o)| *o);
        let names = std::iter::once(&key).chain(others);
        names.filter_map(|name| self.map.get(*name)).find(|value| !value.is_null())
    }

    pub(crate) fn text(&self, key: &str) -> Option<&'v str> {
        self.value(key)?.as_str()
    }

    pub(crate) fn list(&self, key: &str) -> Option<&'v [Value]> {
        self.value(key)?.as_array().map(Vec::as_slice)
    }

    pub(crate) fn flag(&self, key: &str, default: bool) -> bool {
        self.value(key).and_then(Value::as_bool).unwrap_or(default)
    }

    /// A probability; 0 where it is none.
    pub(crate) fn probability(&self, key: &str, default: f64) -> f64 {
        let value = self.value(key).and_then(Value::as_f64).unwrap_or(default);
        if (0.0..=1.0).contains(&value) { value } else { 0.0 }
    }

    /// A count that may be absent.
    pub(crate) fn optional(&self, key: &str) -> Result<Option<u64>, KeyError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let wrong = |what: String| KeyError { key: key.to_owned(), what };
        let number = value
            .as_u64()
            .or_else(|| {
                value
                    .as_f64()
                    .filter(|n| n.fract() == 0.0 && *n >= 0.0 && *n < 1e15)
                    .map(|n| n as u64)
            })
            .ok_or_else(|| wrong(format!("{} is not a count", shortened(value))))?;
        let most = if key.ends_with("layers") { MOST_LAYERS } else { LARGEST };
        if number > most {
            return Err(wrong(format!("{number} is absurd, at most {most} is believed")));
        }
        Ok(Some(number))
    }

    pub(crate) fn count_or(&self, key: &str, default: u64) -> Result<u64, KeyError> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    /// A count that must be there and not 0.
    pub(crate) fn count(&self, key: &str) -> Result<u64, KeyError> {
        match self.optional(key)? {
            None => Err(KeyError::missing(key)),
            Some(0) => Err(KeyError { key: key.to_owned(), what: "0 is not a size".to_owned() }),
            Some(number) => Ok(number),
        }
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
