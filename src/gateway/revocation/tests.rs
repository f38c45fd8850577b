use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;
use crate::clock::{SystemClock, Timestamp};
use crate::oidc::token_response::Tokens;
use crate::provider::refresh::{RefreshContext, RefreshError, Refreshed};
use crate::secret::{AccessToken, RefreshToken};
use crate::session::{GrantKey, GrantTokens};
use crate::telemetry::labels::RefreshOutcome;

/// A provider whose revocation endpoint does not answer before it is told to.
#[derive(Default)]
struct Silent {
    asked: AtomicUsize,
    answers: Notify,
}

impl TokenEndpoint for Silent {
    fn label(&self) -> &str {
        "silent"
    }

    fn is_openid(&self) -> bool {
        true
    }

    fn count_refresh(&self, _: RefreshOutcome) {}

    async fn refresh(&self, _: &RefreshToken, _: &RefreshContext<'_>) -> Result<Refreshed, RefreshError> {
        std::future::pending().await
    }

    async fn revoke(&self, _: &Tokens) -> Revocation {
        let answers = self.answers.notified();
        self.asked.fetch_add(1, Ordering::SeqCst);
        answers.await;
        Revocation::Revoked
    }
}

fn grant() -> Arc<Grant> {
    let key = GrantKey { provider: "silent".into(), scopes: vec!["openid".into()], resource: None };
    let tokens = GrantTokens {
        access_token: AccessToken::new("access".into()),
        access_expires: None,
        refresh_token: None,
        id_token: None,
        scopes: Vec::new(),
    };
    Arc::new(Grant::new(key, tokens, Timestamp::from_seconds(1)))
}

#[tokio::test]
async fn if_11_and_mm_03_a_provider_that_is_silent_keeps_a_bounded_number_of_revocations_waiting() {
    let revoker = Revoker::new(Arc::new(SystemClock::default()), Arc::default());
    let silent = Arc::new(Silent::default());
    let asked = async |wanted| {
        while silent.asked.load(Ordering::SeqCst) < wanted {
            tokio::task::yield_now().await;
        }
    };
    for _ in 0..10 * AT_ONCE {
        revoker.revoke(&silent, grant(), "session");
    }
    asked(AT_ONCE).await;
    assert_eq!(revoker.under_way.lock().unwrap().len(), AT_ONCE);
    silent.answers.notify_waiters();
    while revoker.room.available_permits() < AT_ONCE {
        tokio::task::yield_now().await;
    }
    // What was over the bound has been given up, and what comes now has room.
    assert_eq!(silent.asked.load(Ordering::SeqCst), AT_ONCE);
    revoker.revoke(&silent, grant(), "session");
    asked(AT_ONCE + 1).await;
    assert_eq!(revoker.under_way.lock().unwrap().len(), 1, "those that are over are not kept");
}
