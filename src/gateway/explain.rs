//! What a request would meet, and why: the decisions of the request path, asked one by one, with nothing started.

mod address;
mod person;

use std::fmt;

use http::Method;
use serde_json::{Map, Value};

use super::canonical_path::{CanonicalPath, PathError, PathPolicy};
use super::code::Code;
use super::cross_site;
use super::route::{longest, prefix_of};
use super::rule::{Requirements, Rule, RuleTable, Written};
use super::settings::{Anonymous, RouteSettings, Settings, StepUp};
use crate::clock::Timestamp;
use crate::oidc::json::{self, JsonError};
use crate::upstream::prefix::Prefix;
use crate::upstream::settings::Target;
pub use address::{InvalidQuestion, Question};

/// As much as somebody may want to try; of a provider the gateway takes 16 KiB of claims.
const CLAIMS_LIMIT: usize = 1 << 20;

/// Who asks, as an operator supposes.
#[derive(Clone, Debug)]
pub struct Supposed {
    /// What the provider would say of the person: the claims of an ID token, or of a user resource.
    pub claims: Map<String, Value>,
    /// When.
    pub now: Timestamp,
}

/// What was found, each piece under a word.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    lines: Vec<(&'static str, String)>,
}

impl Supposed {
    /// Reads the claims as strictly as those of a token.
    ///
    /// # Errors
    /// [`JsonError`] for anything but one JSON object without duplicate members.
    pub fn from_json(text: &[u8], now: Timestamp) -> Result<Self, JsonError> {
        Ok(Self { claims: json::read_object(text, CLAIMS_LIMIT)?, now })
    }
}

impl Explanation {
    fn say(&mut self, word: &'static str, text: impl Into<String>) {
        self.lines.push((word, text.into()));
    }

    fn refuse(&mut self, code: Code, why: impl fmt::Display) {
        self.say("answer", format!("{} {}: {why}", code.description().status.as_u16(), code.as_str()));
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for (index, (word, text)) in self.lines.iter().enumerate() {
            let word = if *word == before { "" } else { word };
            let end = if index == 0 { "" } else { "\n" };
            // What stands in claims must not steer a terminal.
            let text: String = text.chars().map(|one| if one.is_control() { '\u{fffd}' } else { one }).collect();
            write!(formatter, "{end}{word:<11}{text}")?;
            before = self.lines.get(index).map_or("", |(word, _)| word);
        }
        Ok(())
    }
}

/// Says what a request would meet.
#[must_use]
pub fn explain(settings: &Settings, question: &Question, supposed: Option<&Supposed>) -> Explanation {
    let mut told = Explanation::default();
    let Some(address) = address::read(settings, question, &mut told) else { return told };
    let on_host = || settings.routes.iter().filter(|route| route.host == address.host);
    let Some(policy) = on_host().map(|route| route.path_policy).next() else {
        let mut hosts: Vec<&str> = settings.routes.iter().map(|route| route.host.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let why = format!("no upstream has the host {}; there are {}", address.host, hosts.join(", "));
        told.refuse(Code::Misdirected, why);
        return told;
    };
    let path = match CanonicalPath::parse(&address.path, policy) {
        Ok(path) => path,
        Err(error) => {
            told.refuse(Code::MalformedPath, wrong_path(error, policy));
            return told;
        }
    };
    let method = &question.method;
    told.say("request", format!("{method} {}{}{}", address.host, path.as_str(), address.query_in_words()));
    if path.is_under(&settings.endpoints()) {
        told.say("answer", "one of the gateway's own endpoints: no upstream sees it, and no rule is about it");
        return told;
    }
    let found = longest(&path, |prefix| {
        settings.routes.iter().enumerate().find(|(_, route)| route.host == address.host && prefix_of(route) == prefix)
    });
    let Some((index, route)) = found else {
        let prefixes: Vec<&str> = on_host().map(|route| route.path.as_str()).collect();
        told.refuse(
            Code::NotFound,
            format!("no upstream of this host has that path; there are {}", prefixes.join(", ")),
        );
        return told;
    };
    told.say("upstream", upstream(route, &path));
    let table = RuleTable::new(route);
    let requirements = table.requirements(route, method, &path);
    contest(&mut told, index, &table, &requirements, method, &path);
    demands(&mut told, settings, route, &requirements, method, &path);
    let request = person::Request { settings, route, requirements: &requirements, host: &address.host };
    person::anonymous(&mut told, &request, method);
    match supposed {
        _ if requirements.public => {}
        Some(supposed) => person::supposed(&mut told, &request, supposed),
        None => {
            told.say("person", "--claims FILE says whether somebody with these claims may in, and which headers go on")
        }
    }
    told
}

fn wrong_path(error: PathError, policy: PathPolicy) -> &'static str {
    match error {
        PathError::NotAPath => "it does not begin with /",
        PathError::Character => "the path holds a character that must be written with %",
        PathError::BadEscape => "a % in the path is not followed by two hexadecimal digits",
        PathError::EncodedControl => "the path holds an encoded control character or backslash",
        PathError::NotUtf8 => "the path is not UTF-8 once decoded",
        PathError::DotSegment => "the path holds . or .. as a segment, in some spelling",
        PathError::Ambiguous if policy == PathPolicy::Strict => {
            "the path is ambiguous: it holds %2F, // or ;, which two servers could read differently (path_policy)"
        }
        PathError::Ambiguous => "the path is ambiguous",
    }
}

/// Name, target, and the path that it is asked for.
fn upstream(route: &RouteSettings, path: &CanonicalPath) -> String {
    let settings = &route.upstream;
    let target = match settings.targets.as_slice() {
        [Target::Elsewhere] => "another proxy carries it and asks about".to_owned(),
        targets => targets.iter().map(Target::to_string).collect::<Vec<_>>().join(" or "),
    };
    let prefix = settings.strip_prefix.as_deref().and_then(|prefix| Prefix::new(prefix).ok());
    let asked = prefix.as_ref().map_or(path.as_str(), |prefix| prefix.strip_routed(path.as_str()));
    let name = &settings.name;
    let asks = if settings.is_elsewhere() { "" } else { " is asked for" };
    format!("{name}: everything under {}{}; {target}{asks} {asked}", route.host, route.path)
}

/// The rule that wins, and why the others do not.
fn contest(
    told: &mut Explanation,
    index: usize,
    table: &RuleTable,
    requirements: &Requirements<'_>,
    method: &Method,
    path: &CanonicalPath,
) {
    let place = |rule: &Rule| match rule.written() {
        Written::Public(item) => format!("{} (upstream[{index}].public[{item}])", rule.name()),
        Written::Rule(item) => format!("{} (upstream[{index}].rule[{item}])", rule.name()),
    };
    match requirements.rule {
        Some(winner) => told.say("rule", place(winner)),
        None => told.say("rule", format!("none: the keys of upstream[{index}] itself")),
    }
    let is_winner = |rule: &Rule| requirements.rule.is_some_and(|winner| std::ptr::eq(winner, rule));
    for rule in table.rules().iter().filter(|rule| rule.matches_path(path) && !is_winner(rule)) {
        let why = match requirements.rule {
            _ if !rule.matches_method(method) => format!("it is not about {method}"),
            Some(winner) if winner.has_path_of(rule) => "it names no method".to_owned(),
            _ => "its path is less specific".to_owned(),
        };
        told.say("rule", format!("not {}: {why}", place(rule)));
    }
    let elsewhere = table.rules().iter().filter(|rule| !rule.matches_path(path)).count();
    if elsewhere > 0 {
        told.say("rule", format!("{elsewhere} about other paths"));
    }
}

/// The scopes that an upstream needs and its provider is not asked for.
fn unasked<'a>(settings: &Settings, route: &'a RouteSettings) -> Vec<&'a str> {
    let asked = settings.providers.get(route.provider).map(|provider| provider.scopes.as_slice()).unwrap_or_default();
    route.scopes.iter().filter(|scope| !asked.contains(scope)).map(String::as_str).collect()
}

/// What the rule asks for, whoever it is that asks.
fn demands(
    told: &mut Explanation,
    settings: &Settings,
    route: &RouteSettings,
    requirements: &Requirements<'_>,
    method: &Method,
    path: &CanonicalPath,
) {
    let Requirements { public, api, anonymous, access, step_up, .. } = *requirements;
    if public {
        told.say("public", "yes: no session is looked at");
        return;
    }
    told.say("public", "no");
    told.say("api", if api { "yes: never a redirect" } else { "no" });
    told.say(
        "anonymous",
        match anonymous {
            Anonymous::Login => "login",
            Anonymous::Forward => "forward",
            Anonymous::Deny => "deny",
        },
    );
    told.say("access", access.to_string());
    if !route.scopes.is_empty() {
        told.say("scopes", format!("the login must have been granted {}", route.scopes.join(", ")));
        let unasked = unasked(settings, route);
        if !unasked.is_empty() {
            told.say("scopes", format!("the provider is not asked for {}, so nobody may in", unasked.join(", ")));
        }
    }
    if let Some(StepUp { acr, max_age }) = step_up {
        let acr = acr.as_ref().map(|acr| format!("with acr {acr}"));
        let max_age = max_age.map(|age| format!("at most {} seconds ago", age.as_secs()));
        let asked: Vec<String> = acr.into_iter().chain(max_age).collect();
        told.say("step_up", format!("the person must have logged in {}", asked.join(", ")));
    }
    if cross_site::is_unsafe(method) {
        let origin = settings.public_url.origin_of(&route.host);
        let listed = route.cross_site.as_ref();
        let listed = listed.filter(|listed| listed.paths.iter().any(|path_of| path_of.matches(method, path.as_str())));
        let siblings = listed.map(|listed| format!(" or {}", listed.origins.join(", "))).unwrap_or_default();
        told.say("cross-site", format!("a {method} with a session must come from a page of {origin}{siblings}"));
    }
}
