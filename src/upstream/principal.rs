//! For whom a request goes out, and how a session that ends reaches what it has open.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::claims::Identity;
use crate::clock::Timestamp;
use crate::secret::{AccessToken, RawIdToken};

/// What headers may say about the person; empty for requests without identity.
#[derive(Clone, Copy, Debug, Default)]
pub struct Principal<'a> {
    /// Who it is.
    pub identity: Option<&'a Identity>,
    /// The access token for this upstream.
    pub access_token: Option<&'a AccessToken>,
    /// The ID token.
    pub id_token: Option<&'a RawIdToken>,
    /// When the session began.
    pub created: Option<Timestamp>,
    /// When the session ends at the latest.
    pub expires: Option<Timestamp>,
}

/// The session behind an answer that is still being sent.
pub trait SessionGuard: Send + Sync {
    /// Ready once the session has ended; polled as long as the answer or the tunnel lives and dropped with it, so that
    /// what keeps a session fresh meanwhile may run in here.
    fn ended(&self) -> BoxFuture<'static, ()>;

    /// Bytes have come from the browser; called for every read, so it must be cheap.
    fn used(&self);
}

/// A guard shared by the parts of one exchange.
pub type SharedGuard = Arc<dyn SessionGuard>;
