//! Which rule of an upstream decides about a request: the most specific path, then the method; never the order.

use std::cmp::Ordering;

use http::Method;

use super::canonical_path::CanonicalPath;
use super::pattern::Pattern;
use super::settings::{Anonymous, RouteSettings, RuleSettings, StepUp};
use crate::policy::access::Access;

/// What a request must meet before it is forwarded to its upstream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requirements<'a> {
    /// Forwarded without looking at a session.
    pub(super) public: bool,
    /// A refusal is 401, never a redirect.
    pub(super) api: bool,
    /// What happens to somebody who is not logged in.
    pub(super) anonymous: Anonymous,
    /// Who may in.
    pub(super) access: &'a Access,
    /// How somebody must have logged in.
    pub(super) step_up: Option<&'a StepUp>,
    /// The rule that decides; `None` when it is the upstream itself.
    pub(super) rule: Option<&'a Rule>,
}

impl<'a> Requirements<'a> {
    /// What logs call the rule that decides.
    #[must_use]
    pub(super) fn rule_name(&self) -> Option<&'a str> {
        self.rule.map(Rule::name)
    }
}

/// Where a rule is written, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// An item of `public`.
    Public(usize),
    /// A `[[upstream.rule]]`.
    Rule(usize),
}

/// An `[[upstream.rule]]` or an item of `public`, with everything that it leaves to its upstream filled in.
#[derive(Debug)]
pub(super) struct Rule {
    pattern: Pattern,
    /// Empty: every method.
    methods: Vec<Method>,
    /// As logs name it: `GET,POST /admin/**`.
    name: String,
    written: Written,
    public: bool,
    /// `None` leaves it to the `api` list.
    api: Option<bool>,
    anonymous: Anonymous,
    access: Access,
    step_up: Option<StepUp>,
}

impl Rule {
    fn of_public(index: usize, pattern: &Pattern, route: &RouteSettings) -> Self {
        let methods: Vec<Method> = pattern.method().cloned().into_iter().collect();
        Self {
            name: name(&methods, pattern),
            pattern: pattern.clone(),
            methods,
            written: Written::Public(index),
            public: true,
            api: None,
            anonymous: route.anonymous,
            access: route.access.clone(),
            step_up: None,
        }
    }

    fn of_rule(index: usize, rule: &RuleSettings, route: &RouteSettings) -> Self {
        Self {
            name: name(&rule.methods, &rule.pattern),
            pattern: rule.pattern.clone(),
            methods: rule.methods.clone(),
            written: Written::Rule(index),
            public: rule.public,
            api: rule.api,
            anonymous: rule.anonymous.unwrap_or(route.anonymous),
            access: rule.access.clone().unwrap_or_else(|| route.access.clone()),
            step_up: rule.step_up.clone(),
        }
    }

    /// As logs name it: methods and pattern.
    #[must_use]
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is written.
    pub(super) const fn written(&self) -> Written {
        self.written
    }

    /// Whether another rule has the same path.
    pub(super) fn has_path_of(&self, other: &Self) -> bool {
        self.pattern.is_same_path(&other.pattern)
    }

    /// Whether its pattern matches, for whatever method.
    pub(super) fn matches_path(&self, path: &CanonicalPath) -> bool {
        self.pattern.matches_path(path.as_str())
    }

    /// Whether it is about this method.
    pub(super) fn matches_method(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }

    /// The more specific first. Rules that come out equal never match one request: the configuration refuses a tie.
    fn before(&self, other: &Self) -> Ordering {
        let paths = self.pattern.specificity().cmp(other.pattern.specificity());
        paths.then_with(|| self.methods.is_empty().cmp(&other.methods.is_empty()))
    }
}

/// The rules of one upstream in the order of their contest, so that the first one that matches has won.
#[derive(Debug, Default)]
pub(super) struct RuleTable {
    rules: Vec<Rule>,
}

impl RuleTable {
    /// Brings the rules and the `public` list of an upstream in order.
    pub(super) fn new(route: &RouteSettings) -> Self {
        let public = route.public.iter().enumerate().map(|(index, pattern)| Rule::of_public(index, pattern, route));
        let rules = route.rules.iter().enumerate().map(|(index, rule)| Rule::of_rule(index, rule, route));
        let mut rules: Vec<Rule> = public.chain(rules).collect();
        rules.sort_by(Rule::before);
        Self { rules }
    }

    /// Every rule, the most specific first.
    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What a request to `route` must meet.
    pub(super) fn requirements<'a>(
        &'a self,
        route: &'a RouteSettings,
        method: &Method,
        path: &CanonicalPath,
    ) -> Requirements<'a> {
        let api = || route.api.iter().any(|pattern| pattern.matches(method, path.as_str()));
        match self.rules.iter().find(|rule| rule.matches_method(method) && rule.matches_path(path)) {
            Some(rule) => Requirements {
                public: rule.public,
                api: rule.api.unwrap_or_else(api),
                anonymous: rule.anonymous,
                access: &rule.access,
                step_up: rule.step_up.as_ref(),
                rule: Some(rule),
            },
            None => Requirements {
                public: false,
                api: api(),
                anonymous: route.anonymous,
                access: &route.access,
                step_up: None,
                rule: None,
            },
        }
    }
}

fn name(methods: &[Method], pattern: &Pattern) -> String {
    if methods.is_empty() {
        return pattern.path();
    }
    let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
    format!("{} {}", methods.join(","), pattern.path())
}

#[cfg(test)]
mod tests;
