use std::fmt::Write;

use super::check::Draft;
use super::policy::{Policy, Text};
use super::quantity::{Limit, Quantity};
use super::rule::Rule;
use super::zone::{Form, Margin, Zone};
use crate::hash::sha256_hex;
use crate::judge::limits::Limits;

impl Policy {
    /// Its file: the text that it was read from, or one that [`parse`](Self::parse) makes the same policy of. Its hash
    /// is [`sha256`](Self::sha256). Empty for the policy that a model without one is judged by.
    pub fn to_toml(&self) -> &str {
        self.text.as_ref().map_or("", |text| &text.toml)
    }
}

impl Text {
    pub(super) fn new(toml: &str) -> Self {
        Text { toml: toml.into(), sha256: sha256_hex(toml.as_bytes()).into() }
    }
}

/// The file of a policy, without a guarantee.
pub(super) fn to_toml(draft: &Draft) -> String {
    let mut text = format!("schema = 1\nname = {}\n", quoted(&draft.name));
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    if let Some(model) = &draft.model {
        line(format!("model = {}", quoted(model)));
    }
    if let Some(pitch) = draft.pixel_pitch_mm {
        line(format!("pixel_pitch_mm = {pitch:?}"));
    }
    line(format!("\n[default]\n{}", limits(&draft.default)));
    for (kind, own) in &draft.kinds {
        line(format!("\n[kinds.{}]\n{}", quoted(kind.as_str()), limits(own)));
    }
    if let Some(review) = draft.unknown {
        line(format!("\n[unknown]\nreview = {review:?}"));
    }
    for own in &draft.zones {
        line(format!("\n[zones.{}]\n{}", quoted(&own.name), zone(own)));
    }
    for own in &draft.rules {
        line(format!("\n[[rules]]\n{}", rule(own)));
    }
    text
}

fn limits(Limits { review, fail }: &Limits) -> String {
    format!("review = {review:?}\nfail = {fail:?}")
}

fn zone(zone: &Zone) -> String {
    let mut keys = vec![match &zone.form {
        Form::Margin(Margin::Pixels(px)) => format!("margin = {{ px = {px:?} }}"),
        Form::Margin(Margin::Millimetres(mm)) => format!("margin = {{ mm = {mm:?} }}"),
        Form::Margin(Margin::Percent(percent)) => format!("margin = {{ percent = {percent:?} }}"),
        Form::Polygon(points) => {
            let points: Vec<String> = points.iter().map(|point| format!("{point:?}")).collect();
            format!("polygon = [{}]", points.join(", "))
        }
    }];
    if zone.invert {
        keys.push("invert = true".to_owned());
    }
    keys.extend(zone.frame.map(|frame| format!("frame = {frame}")));
    keys.join("\n")
}

fn rule(rule: &Rule) -> String {
    let list = |key: &str, names: Vec<&str>| {
        format!("{key} = [{}]", names.into_iter().map(quoted).collect::<Vec<_>>().join(", "))
    };
    let mut keys = vec![format!("name = {}", quoted(&rule.name))];
    keys.extend(rule.kinds.iter().map(|kinds| list("kinds", kinds.listed.iter().map(|kind| kind.as_str()).collect())));
    keys.extend(rule.zones.iter().map(|zones| list("zones", zones.iter().map(String::as_str).collect())));
    keys.extend(rule.limits.iter().chain(&rule.group).map(limit));
    keys.extend(rule.severity.map(|severity| format!("severity = \"{severity}\"")));
    keys.push(format!("verdict = \"{}\"", rule.verdict));
    keys.join("\n")
}

fn limit(limit: &Limit) -> String {
    let number = |value: f64| match limit.quantity {
        // As short as single precision allows.
        Quantity::Confidence => format!("{:?}", value as f32),
        Quantity::Count => value.to_string(),
        _ => format!("{value:?}"),
    };
    let bounds = match (limit.bounds.at_least, limit.bounds.below) {
        (Some(from), None) => number(from),
        (from, to) => {
            let keys = [("at_least", from), ("below", to)];
            let keys = keys.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}", number(value?))));
            format!("{{ {} }}", keys.collect::<Vec<_>>().join(", "))
        }
    };
    format!("{} = {bounds}", limit.key())
}

/// A text as TOML has it, also as a key.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                // A string takes whatever is written.
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
