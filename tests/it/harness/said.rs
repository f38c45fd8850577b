//! What the provider says of people, changed.

use serde_json::Value;

use super::provider::{Endpoint, TestProvider};

/// Puts `said` over the claims of a person; null takes a claim away.
pub fn change(claims: &mut Value, said: &Value) {
    for (name, value) in said.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
}

impl TestProvider {
    /// From here on it says this of everybody, in every ID token and at userinfo; null takes a claim away.
    pub fn say(&self, said: Value) {
        self.say_in_id_tokens(said.clone());
        self.alter_json(Endpoint::Userinfo, move |claims| change(claims, &said));
    }

    /// The same in ID tokens alone.
    pub fn say_in_id_tokens(&self, said: Value) {
        self.alter_claims(move |claims| change(claims, &said));
    }
}
