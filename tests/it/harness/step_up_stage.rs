//! A stage whose upstream has rules that want a step-up, and the way through one.

use serde_json::Value;

use super::browser::{Asked, Kind, Page};
use super::gateway::Stage;
use super::login_steps::{authorize, begin};
use super::provider::TestProvider;

const RULES: &str = r#"
[[upstream.rule]]
path = "/strong/**"
step_up = { acr = "urn:strong" }
[[upstream.rule]]
path = "/fresh/**"
step_up = { max_age = "15m" }
[[upstream.rule]]
path = "/now/**"
step_up = { max_age = "0s" }
[[upstream.rule]]
path = "/both/**"
step_up = { acr = "urn:strong", max_age = "15m" }
[[upstream.rule]]
path = "/admins/**"
access = { claim = "groups", contains = "admins" }
step_up = { acr = "urn:strong" }
[[upstream.rule]]
path = "/notes"
methods = ["POST"]
step_up = { acr = "urn:strong" }
[[upstream.rule]]
path = "/api/**"
api = true
step_up = { acr = "urn:strong", max_age = "15m" }
"#;

impl Stage {
    pub async fn with_step_up() -> Self {
        Self::with_step_up_at(TestProvider::start().await).await
    }

    pub async fn with_step_up_at(provider: TestProvider) -> Self {
        Self::with_provider(provider, |setup| setup.upstream = RULES.to_owned()).await
    }

    /// Goes to a page that wants a step-up, and proves it as `username`.
    pub async fn step_up(&self, path: &str, username: &str) -> Page {
        let authorization = begin(&self.browser, &self.url(path)).await;
        let callback = authorize(&self.browser, &authorization, username).await;
        self.browser.ask(callback.as_str(), Asked::new(Kind::Navigation)).await
    }

    /// The provider says so in every ID token from here on; null takes a claim out.
    pub fn claim(&self, name: &'static str, value: Value) {
        self.provider.say_in_id_tokens([(name, value)].into_iter().collect());
    }
}
