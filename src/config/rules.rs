//! `[[upstream.rule]]`: what is different for some paths and methods of an upstream.

use http::Method;

use crate::gateway::pattern::Pattern;
use crate::gateway::settings::{Anonymous, RuleSettings, StepUp};
use crate::policy::access::Access;

use super::access;
use super::keys::{RULE, STEP_UP};
use super::patterns;
use super::section::Section;
use super::setting::Setting;

const PATH: &str = "\"/admin/**\"";
const METHODS: &str = "[\"POST\", \"PUT\"]";
/// Longer than any name of a context class.
const LONGEST_ACR: usize = 256;

/// A rule with its place in the file.
struct Read<'a> {
    rule: RuleSettings,
    section: Section<'a>,
    name: String,
}

/// Reads the rules of an upstream that lies at `path` and has this `public` list; `plain_oauth` is whether its provider
/// sends no ID tokens.
pub(super) fn rules(section: &Section<'_>, path: &str, public: &[Pattern], plain_oauth: bool) -> Vec<RuleSettings> {
    let items = section.setting("rule").and_then(|setting| setting.items("a section [[upstream.rule]]"));
    let read: Vec<Read<'_>> = items.unwrap_or_default().iter().filter_map(|item| rule(item, path)).collect();
    for (index, this) in read.iter().enumerate() {
        if plain_oauth && this.rule.step_up.is_some() {
            let message = format!("`{}` wants a step-up, which only an OpenID Connect provider can prove", this.name);
            this.section.refuse_at("step_up", message, "take it out, or use a provider with an `issuer`");
        }
        refuse_ties(this, read.get(..index).unwrap_or_default(), public);
        warn_of_head(this, &read);
    }
    read.into_iter().map(|read| read.rule).collect()
}

fn rule<'a>(item: &Setting<'a>, upstream_path: &str) -> Option<Read<'a>> {
    let section = item.section(&RULE)?;
    let written = |key: &&&str| section.setting(key).is_some();
    let says = ["access", "anonymous", "public", "api", "step_up"];
    if !says.iter().any(|key| written(&key)) {
        section.refuse(
            format!("`{}` says nothing about its path", item.path()),
            format!("write one of: {}", says.join(", ")),
        );
    }
    let public = section.boolean("public", false);
    let without_effect = ["access", "anonymous", "api", "step_up"];
    if let Some(key) = without_effect.iter().find(written).filter(|_| public) {
        section.refuse_at(
            key,
            format!("`{}` is public: nobody is looked at there, so `{key}` would have no effect", item.path()),
            format!("take out `public` or `{key}`"),
        );
    }
    let methods = methods(&section);
    let anonymous = section.setting("anonymous").and_then(|setting| {
        let choices = [("login", Anonymous::Login), ("forward", Anonymous::Forward), ("deny", Anonymous::Deny)];
        setting.choice(&choices)
    });
    // A rule that could not be read has been reported: what stands in its place is never used.
    let access = section.setting("access").map(|setting| access::access(&setting).unwrap_or(Access::Anyone));
    let api = section.setting("api").and_then(|setting| setting.boolean());
    let step_up = section.setting("step_up").and_then(|setting| step_up(&setting));
    let pattern = pattern(&section, upstream_path, public)?;
    let name = item.path().to_owned();
    let rule = RuleSettings { pattern, methods, access, anonymous, public, api, step_up };
    Some(Read { rule, section, name })
}

fn pattern(section: &Section<'_>, upstream_path: &str, public: bool) -> Option<Pattern> {
    let Some(setting) = section.setting("path") else {
        section.missing("path", &format!("write which paths the rule is about, such as {PATH}"));
        return None;
    };
    let text = setting.string(PATH)?;
    let pattern = match Pattern::parse(text) {
        Ok(pattern) if pattern.method().is_none() => pattern,
        Ok(_) => {
            let message = format!("`{}` names a method", setting.path());
            setting.refuse(message, format!("write the path alone, and methods = {METHODS} beside it"));
            return None;
        }
        Err(error) => {
            setting.refuse(format!("`{}`: {error}", setting.path()), format!("write for example {PATH}"));
            return None;
        }
    };
    if !patterns::is_under(text, upstream_path) {
        let message = format!("`{}` does not lie under the path of its upstream, {upstream_path}", setting.path());
        setting.refuse(message, "write it in full as the browser sees it");
    }
    if public && (pattern.is_everything() || patterns::is_wildcards_alone(text)) {
        let message = format!("`{}` would make everything public", setting.path());
        setting.refuse(message, "name what is public; for an upstream without logins write anonymous = \"forward\"");
    }
    Some(pattern)
}

fn methods(section: &Section<'_>) -> Vec<Method> {
    let Some(setting) = section.setting("methods") else { return Vec::new() };
    let Some(items) = setting.strings(METHODS) else { return Vec::new() };
    if items.is_empty() && setting.items(METHODS).is_some_and(|items| items.is_empty()) {
        setting.refuse(format!("`{}` names no method", setting.path()), "take it out for a rule about every method");
    }
    let method = |(item, text): (Setting<'_>, &str)| {
        let upper_case = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        let method = upper_case.then(|| Method::from_bytes(text.as_bytes()).ok()).flatten();
        if method.is_none() {
            item.refuse(format!("`{}` is not an upper-case word", item.path()), format!("write for example {METHODS}"));
        }
        method
    };
    items.into_iter().filter_map(method).collect()
}

fn step_up(setting: &Setting<'_>) -> Option<StepUp> {
    let section = setting.section(&STEP_UP)?;
    if section.setting("acr").is_none() && section.setting("max_age").is_none() {
        let message = format!("`{}` asks for nothing", setting.path());
        section.refuse(message, "write acr = \"…\", max_age = \"15m\", or both");
        return None;
    }
    let acr = section.setting("acr").and_then(|setting| {
        let text = setting.string("the name of a context class, as the provider documents it")?;
        // Several stand in one parameter, separated by spaces (OpenID Connect Core §3.1.2.1).
        if text.len() > LONGEST_ACR || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("`{}` is not the name of one context class", setting.path());
            setting.refuse(message, "write visible ASCII characters without a space");
        }
        Some(text.to_owned())
    });
    let max_age = section.setting("max_age").and_then(|setting| setting.duration());
    Some(StepUp { acr, max_age })
}

/// Two rules for the same requests: which one counts would be anybody's guess.
fn refuse_ties(this: &Read<'_>, earlier: &[Read<'_>], public: &[Pattern]) {
    let rule = &this.rule;
    let tie = |with: String| {
        let message = format!("`{}` is about the same path and method as {with}", this.name);
        this.section.refuse_at("path", message, "keep one of them, or tell them apart by `methods`");
    };
    for other in earlier {
        if other.rule.pattern.is_same_path(&rule.pattern) && overlap(&other.rule.methods, &rule.methods) {
            tie(format!("`{}`", other.name));
        }
    }
    for pattern in public {
        if pattern.is_same_path(&rule.pattern)
            && overlap(pattern.method().map_or(&[], std::slice::from_ref), &rule.methods)
        {
            tie(match pattern.method() {
                Some(method) => format!("\"{method} {}\" in `public`", pattern.path()),
                None => format!("\"{}\" in `public`", pattern.path()),
            });
        }
    }
}

/// Whether two lists of methods are equally specific and share one; an empty list is less specific than any other.
fn overlap(one: &[Method], other: &[Method]) -> bool {
    (one.is_empty() && other.is_empty()) || one.iter().any(|method| other.contains(method))
}

/// An application answers HEAD as it answers GET, but without the body.
fn warn_of_head(this: &Read<'_>, all: &[Read<'_>]) {
    let rule = &this.rule;
    let restricts = rule.access.is_some() || rule.step_up.is_some();
    let misses = rule.methods.contains(&Method::GET) && !rule.methods.contains(&Method::HEAD);
    let covers = |other: &RuleSettings| {
        other.pattern.is_same_path(&rule.pattern) && (other.methods.is_empty() || other.methods.contains(&Method::HEAD))
    };
    if restricts
        && misses
        && !all.iter().any(|other| covers(&other.rule))
        && let Some(setting) = this.section.setting("methods")
    {
        let message = format!("`{}` names GET but not HEAD: a HEAD request falls to another rule", setting.path());
        setting.warn(message, "add \"HEAD\", unless that is meant");
    }
}
