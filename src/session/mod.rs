//! Who is logged in and how that is kept.
//!
//! A session is a sealed record in a store and a cookie that opens it; neither is worth anything alone.

mod cache;
mod card;
mod content;
mod envelope;
mod error;
mod grant;
mod index;
pub mod key_ring;
mod lifecycle;
pub mod lifetime;
mod liveness;
pub mod login_attempt;
pub mod login_cookie;
pub mod logout_state;
mod opened;
mod record;
mod rules;
mod sealed_box;
mod sealing;
pub mod settings;
pub mod store;
mod ticket;
mod tlv;

pub use card::Card;
pub use error::{EndReason, SessionError, WhyNot};
pub use grant::{Grant, GrantId, GrantKey, GrantMark, GrantTokens};
pub use index::IndexName;
pub use lifecycle::{
    Begun, EndedSession, Lease, LogoutTurn, Marker, NamedToken, NewSession, Opened, PassedSession, SaveError, Saved,
    SessionSummary, SessionWatch, Sessions,
};
pub use opened::OpenedSession;
pub use record::TooLarge;
pub use rules::{RegisteredClient, SessionRules};
pub use sealed_box::Rejected;
pub use ticket::{COOKIE_LENGTH, MalformedStoreKey, StoreKey};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod testing;
