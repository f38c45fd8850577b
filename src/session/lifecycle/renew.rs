//! A reload gives the sessions other rules: new limits, keys and clients, under which all who are logged in stay so unless
//! their key or their provider is no longer there.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Judgement, Sessions};
use crate::origin::Host;
use crate::session::error::SessionError;
use crate::session::key_ring::KeyRing;
use crate::session::rules::{RegisteredClient, SessionRules};
use crate::session::settings::SessionSettings;

impl Sessions {
    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Arc<SessionRules> {
        self.rules.load_full()
    }

    /// Says that the sealing key was made for this run and is written nowhere: it stays over reloads.
    pub fn keep_own_key(&self) {
        let _ = self.own_key.set(Arc::clone(self.rules.load().ring.first()));
    }

    /// Makes another edition of the rules; nothing changes yet. Unless `keys_configured`, the keys are one that was just
    /// made, and the one made earlier in this run goes on.
    ///
    /// # Errors
    /// As of [`Sessions::new`].
    pub fn prepare(
        &self,
        settings: &mut SessionSettings,
        keys_configured: bool,
        clients: HashMap<Host, RegisteredClient>,
    ) -> Result<Arc<SessionRules>, SessionError> {
        let keys = std::mem::take(&mut settings.keys);
        let ring = match self.own_key.get() {
            // The first keys somebody configures log nobody out.
            Some(own) if keys_configured => KeyRing::new(keys)?.and(own)?,
            Some(own) => KeyRing::of_one(own),
            None => KeyRing::new(keys)?,
        };
        if !keys_configured {
            let _ = self.own_key.set(Arc::clone(ring.first()));
        }
        let edition = self.editions.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(SessionRules::new(settings, ring, self.namespace.clone(), clients, edition)))
    }

    /// Puts rules into force for all sessions, those that are open included. Those whose key has been removed or whose
    /// host has another issuer or client end now; no other does.
    pub fn adopt(&self, rules: Arc<SessionRules>) {
        self.rules.store(rules);
        let refused = Mutex::new(Vec::new());
        self.cache.retain(|session| match self.judge(session) {
            Judgement::NotAdmitted(why) => {
                let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
                refused.push((Arc::clone(session), why));
                false
            }
            _ => true,
        });
        for (session, why) in refused.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.note_passed(&session, why.end());
        }
        // Whoever holds a session for longer than a request looks at it under the new rules.
        self.registry.wake_all();
    }
}
