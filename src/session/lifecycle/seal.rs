//! Between a record and an opened session, and back.

use std::sync::Arc;

use super::Sessions;
use crate::origin::Host;
use crate::session::card::Card;
use crate::session::content::SessionContent;
use crate::session::envelope::{self, OpenedRecord};
use crate::session::error::{EndReason, SessionError, WhyNot};
use crate::session::key_ring::Kid;
use crate::session::lifetime::Verdict;
use crate::session::opened::{Identified, OpenedSession};
use crate::session::record::{self, TooLarge};
use crate::session::rules::SessionRules;
use crate::session::sealed_box::Rejected;
use crate::session::store::{LONGEST_SESSION, SealedSession, StoredSession};
use crate::session::ticket::{StoreKey, Ticket};

impl Sessions {
    pub(super) fn seal(
        &self,
        rules: &SessionRules,
        identified: &Identified,
        generation: u64,
        content: &SessionContent,
    ) -> Result<SealedSession, SessionError> {
        let absolute_expiry = content.absolute_expiry;
        let record = OpenedRecord { generation, absolute_expiry, content: record::encode(content)? };
        let place = identified.place(&self.namespace);
        let record = envelope::seal(place, &rules.ring, identified.ticket.secret(), record, &*self.entropy)?;
        let card = Card::of(content, &identified.host).seal(&rules.ring, &identified.store_key, &*self.entropy)?;
        // A long name stands in both. A store that all replicas share gives out nothing that is longer.
        if record.len() + card.len() > LONGEST_SESSION {
            return Err(TooLarge.into());
        }
        Ok(SealedSession { record: record.into(), card: card.into(), generation, absolute_expiry })
    }

    /// Opens a record, compares it with what is configured now, and judges it by time.
    pub(super) fn unseal(
        &self,
        identified: Arc<Identified>,
        stored: &StoredSession,
    ) -> Result<Arc<OpenedSession>, WhyNot> {
        let (sealed, rules) = (&stored.sealed, self.rules.load());
        let place = identified.place(&self.namespace);
        let opened =
            envelope::open(place, &rules.ring, identified.ticket.secret(), &sealed.record).map_err(|rejected| {
                match rejected {
                    Rejected::UnknownKey => WhyNot::UnknownKey,
                    Rejected::Malformed | Rejected::NotAuthentic => WhyNot::Tampered,
                }
            })?;
        let content = record::decode(&opened.content).map_err(|_| WhyNot::Tampered)?;
        // What the store says beside the record is not authenticated.
        let agreed = opened.generation == sealed.generation
            && opened.absolute_expiry == sealed.absolute_expiry
            && content.absolute_expiry == sealed.absolute_expiry;
        if !agreed {
            return Err(WhyNot::Tampered);
        }
        if !rules.is_begun_with(&identified.host, &content.identity.issuer, &content.client_id) {
            return Err(WhyNot::OtherConfiguration);
        }
        identified.liveness.learn_use(stored.last_use, self.clock.now(), self.clock.monotonic());
        let kid = envelope::sealed_under(&sealed.record).ok_or(WhyNot::Tampered)?;
        let session = self.opened(&rules, identified, kid, opened.generation, content, sealed.record.len());
        match self.verdict(&rules, &session) {
            Verdict::Live => Ok(session),
            Verdict::Expired => {
                self.note_passed_if_held(&session, EndReason::Expired);
                self.forget(&session);
                Err(WhyNot::Expired)
            }
            Verdict::Idle => {
                self.note_passed_if_held(&session, EndReason::Idle);
                self.forget(&session);
                Err(WhyNot::Idle)
            }
        }
    }

    /// Of a session that this process has had open, the first to find it past its limit tells. One that nobody holds
    /// would be told of again by every request that shows its cookie.
    fn note_passed_if_held(&self, session: &Arc<OpenedSession>, reason: EndReason) {
        if session.identified.liveness.cache_key().is_some() {
            self.note_passed(session, reason);
        }
    }

    pub(super) fn opened(
        &self,
        rules: &SessionRules,
        identified: Arc<Identified>,
        sealed_under: Kid,
        generation: u64,
        content: SessionContent,
        size: usize,
    ) -> Arc<OpenedSession> {
        let pseudonym = rules.ring.pseudonym(&content.identity.issuer, &content.identity.subject);
        let left = content.absolute_expiry.since(self.clock.now());
        let absolute_at = self.clock.monotonic().saturating_add(left);
        let edition = rules.edition;
        Arc::new(OpenedSession { identified, generation, content, pseudonym, sealed_under, edition, absolute_at, size })
    }

    /// Makes a version the one that requests find.
    pub(super) fn keep(&self, session: &Arc<OpenedSession>) {
        let liveness = &session.identified.liveness;
        liveness.advance(session.generation);
        if let Some(key) = liveness.cache_key() {
            self.cache.put(*key, Arc::clone(session));
        }
    }

    pub(super) fn identify(&self, rules: &SessionRules, ticket: Ticket, host: &Host) -> Identified {
        let store_key = StoreKey::of(&self.namespace, host, ticket.id());
        Identified {
            reference: rules.ring.session_reference(&store_key),
            host: host.clone(),
            store_key,
            liveness: self.registry.enter(store_key),
            ticket,
        }
    }
}
