//! `access`: who may use an upstream.

use serde_json::Value;

use crate::policy::access::Access;

use super::keys::ACCESS;
use super::section::Section;
use super::setting::Setting;

const EXAMPLE: &str = "{ claim = \"groups\", contains = \"staff\" }, { email_domain = \"example.com\" } or \"anyone\"";
/// Deeper rules are nobody's intention.
const DEEPEST: usize = 16;

/// Reads a rule, or reports why it is none.
pub(super) fn access(setting: &Setting<'_>) -> Option<Access> {
    match setting.as_str() {
        Some("anyone") => Some(Access::Anyone),
        Some(_) => {
            let message = format!("`{}` is neither a rule nor \"anyone\"", setting.path());
            setting.refuse(message, format!("write {EXAMPLE}"));
            None
        }
        None => rule(setting, 0),
    }
}

fn rule(setting: &Setting<'_>, depth: usize) -> Option<Access> {
    if !setting.is_table() {
        setting.wrong_type("a rule", EXAMPLE);
        return None;
    }
    if depth >= DEEPEST {
        setting.refuse(format!("`{}` is nested too deeply", setting.path()), "write a flatter rule");
        return None;
    }
    let section = setting.section(&ACCESS)?;
    let written = |names: &[&str]| names.iter().filter(|name| section.setting(name).is_some()).count();
    let forms = written(&["claim", "email_domain", "any", "all", "not"]);
    let tests = written(&["contains", "equals"]);
    let by_claim = section.setting("claim").is_some();
    if forms != 1 || (by_claim && tests != 1) || (!by_claim && tests != 0) {
        let message = format!("`{}` must be exactly one rule", setting.path());
        let help = "write claim with either contains or equals, or email_domain, or any, all or not around other rules";
        setting.refuse(message, help);
        return None;
    }
    if let Some(inner) = section.setting("not") {
        return rule(&inner, depth + 1).map(|inner| Access::Not(Box::new(inner)));
    }
    if let Some(list) = section.setting("any") {
        return rules(&list, depth).map(Access::Any);
    }
    if let Some(list) = section.setting("all") {
        return rules(&list, depth).map(Access::All);
    }
    if let Some(domain) = section.setting("email_domain") {
        return email_domain(&domain).map(Access::EmailDomain);
    }
    by_claim_value(&section)
}

fn rules(setting: &Setting<'_>, depth: usize) -> Option<Vec<Access>> {
    let items = setting.items("[ { … }, { … } ]")?;
    if items.is_empty() {
        setting.refuse(format!("`{}` holds no rule", setting.path()), format!("write {EXAMPLE} into it"));
        return None;
    }
    let count = items.len();
    let rules: Vec<Access> = items.iter().filter_map(|item| rule(item, depth + 1)).collect();
    (rules.len() == count).then_some(rules)
}

fn by_claim_value(section: &Section<'_>) -> Option<Access> {
    let claim = section.setting("claim")?.string("the name of a claim")?.to_owned();
    if let Some(setting) = section.setting("contains") {
        return scalar(&setting).map(|value| Access::Contains { claim, value });
    }
    let setting = section.setting("equals")?;
    let value = if setting.is_array() {
        let items = setting.items("a list")?;
        Value::Array(items.iter().map(scalar).collect::<Option<_>>()?)
    } else {
        scalar(&setting)?
    };
    Some(Access::Equals { claim, value })
}

fn scalar(setting: &Setting<'_>) -> Option<Value> {
    if let Some(text) = setting.as_str() {
        if text.is_empty() {
            setting.refuse(format!("`{}` is empty", setting.path()), "write what the claim must hold");
            return None;
        }
        return Some(text.into());
    }
    let value = setting.as_boolean().map(Value::from).or_else(|| setting.as_integer().map(Value::from));
    if value.is_none() {
        setting.wrong_type("a string, an integer or a boolean", "\"staff\"");
    }
    value
}

fn email_domain(setting: &Setting<'_>) -> Option<String> {
    let text = setting.string("\"example.com\"")?;
    let domain = text.to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if domain.contains('.') && domain.len() <= 253 && domain.split('.').all(label) {
        return Some(domain);
    }
    let message = format!("`{}` is not a domain", setting.path());
    setting.refuse(message, "write it alone, such as \"example.com\"; names with other letters in their xn-- form");
    None
}
