//! The JSON keeps to its committed schema.

mod diagnoses;

use oomscope_report::{json_schema, render_json};
use serde_json::Value;

const COMMITTED: &str = include_str!("../../../schema/diagnosis.schema.json");

#[test]
fn the_committed_schema_is_the_one_of_the_types() {
    assert_eq!(json_schema(), COMMITTED, "run `cargo xtask schema`");
}

#[test]
fn every_diagnosis_keeps_to_the_schema() {
    let schema: Value = serde_json::from_str(COMMITTED).expect("the schema is JSON");
    for (name, diagnosis) in diagnoses::all() {
        let mut out = Vec::new();
        render_json(&diagnosis, &mut out).expect("writing to memory succeeds");
        let value: Value = serde_json::from_slice(&out).expect("the output is JSON");
        assert_eq!(violation(&schema, &schema, &value, name), None);
    }
}

#[test]
fn the_schema_rejects_what_it_should() {
    let schema: Value = serde_json::from_str(COMMITTED).expect("the schema is JSON");
    let mut out = Vec::new();
    render_json(&diagnoses::undecided(), &mut out).expect("writing to memory succeeds");
    let whole: Value = serde_json::from_slice(&out).expect("the output is JSON");
    let damages: [fn(&mut Value); 5] = [
        |value| value["verdict"] = "maybe".into(),
        |value| value["causes"][0]["confidence"] = 7.into(),
        |value| value["steps"][1]["holders"] = Value::Null,
        |value| drop(value["steps"].as_array_mut().and_then(Vec::pop)),
        |value| drop(value.as_object_mut().and_then(|object| object.remove("headline"))),
    ];
    for damage in damages {
        let mut value = whole.clone();
        damage(&mut value);
        assert_ne!(violation(&schema, &schema, &value, ""), None);
    }
}

#[test]
fn steps_are_six_and_named_in_order() {
    let mut out = Vec::new();
    render_json(&diagnoses::healthy(), &mut out).expect("writing to memory succeeds");
    let value: Value = serde_json::from_slice(&out).expect("the output is JSON");
    let steps = value["steps"].as_array().expect("steps are an array");
    let numbers: Vec<u64> = steps.iter().filter_map(|step| step["step"].as_u64()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert_eq!(value["memory_error"], Value::Null);
    assert_eq!(value["causes"], Value::Array(vec![]));
}

/// Where `value` breaks `schema`, for the keywords that the schema uses; another keyword is a
/// violation too, so that none goes unchecked.
fn violation(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let keywords = schema.as_object()?;
    let check = |schema: &Value, value: &Value, at: &str| violation(root, schema, value, at);
    keywords.iter().find_map(|(keyword, rule)| {
        let is_kept = match keyword.as_str() {
            "$schema" | "title" | "description" | "$defs" | "format" => true,
            "$ref" => {
                let pointer = rule.as_str()?.trim_start_matches('#');
                let target = root.pointer(pointer);
                return target.map_or(Some(format!("{at}: no {pointer}")), |target| {
                    check(target, value, at)
                });
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| is_type(one, value)),
                one => is_type(one, value),
            },
            "const" => rule == value,
            "enum" => rule.as_array()?.contains(value),
            "minimum" => value.as_f64().is_none_or(|number| Some(number) >= rule.as_f64()),
            "maximum" => value.as_f64().is_none_or(|number| Some(number) <= rule.as_f64()),
            "minItems" => {
                value.as_array().is_none_or(|all| Some(all.len() as u64) >= rule.as_u64())
            }
            "maxItems" => {
                value.as_array().is_none_or(|all| Some(all.len() as u64) <= rule.as_u64())
            }
            "required" => rule
                .as_array()?
                .iter()
                .all(|one| one.as_str().is_some_and(|name| value.get(name).is_some())),
            "anyOf" | "oneOf" => rule.as_array()?.iter().any(|one| check(one, value, at).is_none()),
            "properties" => {
                return rule.as_object()?.iter().find_map(|(name, rule)| {
                    check(rule, value.get(name)?, &format!("{at}.{name}"))
                });
            }
            "items" => {
                let mut all = value.as_array()?.iter().enumerate();
                return all.find_map(|(index, one)| check(rule, one, &format!("{at}[{index}]")));
            }
            "prefixItems" => {
                let mut pairs = rule.as_array()?.iter().zip(value.as_array()?).enumerate();
                return pairs
                    .find_map(|(index, (rule, one))| check(rule, one, &format!("{at}[{index}]")));
            }
            _ => false,
        };
        (!is_kept).then(|| format!("{at}: {keyword} {rule}"))
    })
}

fn is_type(name: &Value, value: &Value) -> bool {
    match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    }
}
