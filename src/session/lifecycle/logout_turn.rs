//! A logout token is carried out once.
//!
//! Its mark has to be up before anything is ended, or a token that is sent again would end what has begun since. But
//! what is to be ended may not be to be had a moment later, and then the provider, if it tries again, has nothing but
//! the very same token. So a token has a few turns, each with a mark of its own: whoever comes takes the first that is
//! free, and whoever has carried the token out uses up all the others. A second use after that finds none. A second use
//! before that, while the first has failed or has not finished, does what the first was to do.

use super::{Marker, Sessions};
use crate::clock::Timestamp;
use crate::session::error::SessionError;

/// So often carrying out one token may be tried. Providers rarely try again, and each turn is a mark in the store.
const TURNS: u8 = 3;

/// A logout token by its name.
#[derive(Clone, Copy, Debug)]
pub struct NamedToken<'a> {
    /// Who has issued it.
    pub issuer: &'a str,
    /// Its `jti`.
    pub jti: &'a str,
    /// From here on it would be refused anyway.
    pub until: Timestamp,
}

/// Leave to carry a logout token out.
#[derive(Debug)]
#[must_use]
pub struct LogoutTurn(u8);

impl Sessions {
    /// Takes a turn at a logout token. `None`: it has been carried out, or tried too often.
    ///
    /// # Errors
    /// [`SessionError::Store`]: whether it has been used is not known, so the caller refuses.
    pub async fn take_turn(&self, token: NamedToken<'_>) -> Result<Option<LogoutTurn>, SessionError> {
        for turn in 0..TURNS {
            if self.mark_turn(token, turn).await? {
                return Ok(Some(LogoutTurn(turn)));
            }
        }
        Ok(None)
    }

    /// Notes that the token has been carried out.
    ///
    /// # Errors
    /// [`SessionError::Store`]: it could be used once more.
    pub async fn use_up(&self, token: NamedToken<'_>, turn: LogoutTurn) -> Result<(), SessionError> {
        for turn in turn.0.saturating_add(1)..TURNS {
            // Whether somebody is taking this one right now makes no difference.
            self.mark_turn(token, turn).await?;
        }
        Ok(())
    }

    async fn mark_turn(&self, token: NamedToken<'_>, turn: u8) -> Result<bool, SessionError> {
        let NamedToken { issuer, jti, until } = token;
        self.put_once(Marker::LogoutToken { issuer, jti, turn }, until).await
    }
}
