//! Well-known models by name (`tables/models.json`).

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use crate::config::{Config, read_value};

#[derive(Deserialize)]
struct Model {
    name: String,
    aliases: Vec<String>,
    config: Value,
}

#[derive(Deserialize)]
struct Table {
    models: Vec<Model>,
}

static TABLE: LazyLock<Vec<Model>> = LazyLock::new(|| {
    let table: Result<Table, _> = serde_json::from_str(include_str!("../tables/models.json"));
    table.map(|table| table.models).unwrap_or_default()
});

/// Names of all well-known models.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|model| model.name.as_str())
}

/// A well-known model by its name, an alias, or its name on the Hub (`meta-llama/Llama-3.1-8B`);
/// case, punctuation and an ending such as `-Instruct` do not matter.
pub fn built_in(name: &str) -> Option<Config> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let wanted = letters(name);
    let of = |wanted: &str| {
        TABLE.iter().find(|model| {
            std::iter::once(&model.name).chain(&model.aliases).any(|own| letters(own) == wanted)
        })
    };
    let short = ["instruct", "chat", "base", "it", "hf", "v01", "v1"]
        .into_iter()
        .find_map(|ending| wanted.strip_suffix(ending));
    let model = of(&wanted).or_else(|| of(short?))?;
    read_value(&model.config).ok()
}

/// Known names that share most with one that is not known.
pub fn similar_names(name: &str) -> Vec<&'static str> {
    let wanted = letters(name.rsplit('/').next().unwrap_or(name));
    let shared = |own: &str| own.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
    let mut near: Vec<(usize, &str)> =
        built_in_names().map(|own| (shared(&letters(own)), own)).filter(|(n, _)| *n > 2).collect();
    near.sort_by_key(|(shared, _)| std::cmp::Reverse(*shared));
    near.into_iter().take(5).map(|(_, own)| own).collect()
}

fn letters(name: &str) -> String {
    name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use super::{TABLE, built_in, built_in_names, similar_names};
    use crate::{Weight, weights};

    #[test]
    fn every_model_is_found_by_its_name_and_has_its_parameters() {
        assert!(built_in_names().count() >= 60);
        for line in include_str!("../tables/models.json").lines() {
            let Ok(model) = serde_json::from_str::<serde_json::Value>(line.trim_end_matches(','))
            else {
                continue;
            };
            let name = model["name"].as_str().expect("a name");
            let config = built_in(name).unwrap_or_else(|| panic!("{name} cannot be read"));
            let ours: u64 = weights(&config.architecture).iter().map(Weight::elements).sum();
            if let Some(truth) = model["parameters"].as_u64() {
                assert_eq!(ours, truth, "{name}");
            }
        }
        assert_eq!(TABLE.len(), built_in_names().count());
    }

    #[test]
    fn names_of_the_hub_and_endings_are_understood() {
        for name in [
            "meta-llama/Llama-3.1-8B-Instruct",
            "Qwen/Qwen2.5-7B-Instruct",
            "GPT2",
            "google/gemma-2-2b-it",
        ] {
            assert!(built_in(name).is_some(), "{name}");
        }
        assert!(built_in("llama-9").is_none());
        assert!(similar_names("llama-9").contains(&"llama-2-7b"));
    }

    #[test]
    fn published_sizes_are_met() {
        for (name, billions) in [
            ("tinyllama-1.1b", 1.10),
            ("qwen2.5-14b", 14.77),
            ("pythia-12b", 11.85),
            ("gpt2-medium", 0.355),
            ("qwen2.5-72b", 72.7),
            ("llama-3.1-405b", 405.9),
        ] {
            let model = built_in(name).expect("a model").architecture;
            let ours: u64 = weights(&model).iter().map(Weight::elements).sum();
            let off = ours as f64 / 1e9 / billions - 1.0;
            assert!(off.abs() < 0.01, "{name}: {ours}");
        }
    }
}
