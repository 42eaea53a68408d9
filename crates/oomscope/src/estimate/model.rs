//! The model of an estimate: a configuration, a directory that has one, dimensions by hand.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use oomscope_budget::{Config, ConfigError, built_in, read_config, similar_names};
use serde_json::json;

/// Dimensions of a decoder of Llama's kind.
#[derive(Args)]
#[command(next_help_heading = "Dimensions by hand (a decoder of Llama's kind)")]
pub(super) struct Dimensions {
    /// Width of the residual stream.
    #[arg(long, value_name = "N", requires_all = ["layers", "heads", "vocab"])]
    hidden: Option<u64>,
    /// Layers.
    #[arg(long, value_name = "N")]
    layers: Option<u64>,
    /// Query heads.
    #[arg(long, value_name = "N")]
    heads: Option<u64>,
    /// Key and value heads [default: as many as query heads].
    #[arg(long, value_name = "N")]
    kv_heads: Option<u64>,
    /// Width of the feed-forward [default: 8/3 of the stream, in multiples of 256].
    #[arg(long, value_name = "N")]
    ffn: Option<u64>,
    /// Rows of the token table.
    #[arg(long, value_name = "N")]
    vocab: Option<u64>,
}

/// No configuration is larger, in bytes.
const LARGEST: u64 = 4 << 20;

/// The model's name and configuration.
pub(super) fn read(model: Option<&str>, dimensions: &Dimensions) -> Result<(String, Config)> {
    if let Some(hidden) = dimensions.hidden {
        if model.is_some() {
            bail!("a model and dimensions by hand exclude each other");
        }
        let text = by_hand(hidden, dimensions).to_string();
        return Ok(("the model".to_owned(), read_config(&text)?));
    }
    let model = model.context("no model was named")?;
    if model == "-" {
        let mut text = String::new();
        std::io::stdin().lock().take(LARGEST + 1).read_to_string(&mut text)?;
        return Ok(("standard input".to_owned(), parse(&text, "standard input")?));
    }
    let path = Path::new(model);
    let file = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    if !file.exists() {
        if path.is_dir() {
            bail!("{model}: the directory has no config.json");
        }
        if let Some(config) = built_in(model) {
            return Ok((model.to_owned(), config));
        }
        let similar = similar_names(model);
        let hint = if similar.is_empty() {
            "give the model's config.json or its directory; `oomscope estimate list` names what is known".to_owned()
        } else {
            format!("known models of a similar name: {}", similar.join(", "))
        };
        bail!("{model}: no such file, and no model of that name is known\nhint: {hint}");
    }
    let opened =
        fs::File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut text = String::new();
    opened
        .take(LARGEST + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let name = match (path.file_stem(), path.is_dir()) {
        (Some(stem), false) if stem != "config" => stem.to_string_lossy().into_owned(),
        _ => model.to_owned(),
    };
    Ok((name, parse(&text, &file.display().to_string())?))
}

fn parse(text: &str, from: &str) -> Result<Config> {
    read_config(text).map_err(|error: ConfigError| anyhow!("{from}: {error}"))
}

fn by_hand(hidden: u64, dimensions: &Dimensions) -> serde_json::Value {
    let width = hidden.saturating_mul(8) / 3;
    json!({
        "model_type": "llama",
        "hidden_size": hidden,
        "num_hidden_layers": dimensions.layers,
        "num_attention_heads": dimensions.heads,
        "num_key_value_heads": dimensions.kv_heads,
        "intermediate_size": dimensions.ffn.unwrap_or(width.div_ceil(256).saturating_mul(256)),
        "vocab_size": dimensions.vocab,
    })
}
