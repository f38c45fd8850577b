//! The UserInfo endpoint (OpenID Connect Core §5.3, RFC 6750).

use http::StatusCode;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use serde_json::Value;

use super::DevelopmentProvider;
use super::answer::{self, Answer};
use super::token_response::claims_for;
use crate::clock::Timestamp;

impl DevelopmentProvider {
    pub(super) fn userinfo(&self, head: &Parts, now: Timestamp) -> Answer {
        let mut fields = head.headers.get_all(AUTHORIZATION).iter();
        let bearer = match (fields.next().and_then(|field| field.to_str().ok()), fields.next()) {
            (Some(field), None) => field.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")),
            _ => None,
        };
        let Some((_, token)) = bearer else {
            return refused("Bearer");
        };
        let state = self.state();
        let claims = state
            .access_tokens
            .get(token)
            .filter(|issued| issued.expires > now)
            .and_then(|issued| Some((state.grant(issued.grant)?, issued)))
            .and_then(|(grant, issued)| Some(claims_for(self.account(&grant.session.subject)?, &issued.scopes)));
        match claims {
            Some(claims) => answer::json(StatusCode::OK, &Value::Object(claims)),
            None => refused("Bearer error=\"invalid_token\""),
        }
    }
}

fn refused(challenge: &str) -> Answer {
    let mut response = answer::empty(StatusCode::UNAUTHORIZED);
    answer::set(&mut response, WWW_AUTHENTICATE, challenge);
    response
}
