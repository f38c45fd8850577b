//! What the store and all keys of the server together are worth without a cookie: who was logged in, and no token.

use hmac::Mac;
use sha2::{Digest, Sha256};

use super::*;
use crate::secret::SessionSecret;
use crate::session::card::Card;
use crate::session::envelope::{self, Place};
use crate::session::fixtures::tokens;
use crate::session::index::IndexName;
use crate::session::key_ring::{KeyRing, Purpose};
use crate::session::sealed_box::Kind;
use crate::session::ticket::Ticket;

const ISSUER: &str = "https://id.example.com";
const KINDS: [&[u8]; 4] = [b"vestibule/record/v1", b"vestibule/card/v1", b"vestibule/state/v1", b"vestibule/logout/v1"];

/// Sessions that have been through everything, under three keys, and what a thief of the store holds then.
async fn stolen(scene: &Scene) -> (Vec<(StoreKey, StoredSession)>, Vec<String>) {
    let mut cookies = vec![scene.begin("alice").await.cookie];
    scene.sessions.adopt(scene.sessions.prepare(&mut settings(&[2, 1]), true, clients()).unwrap());
    let bob = scene.begin("bob").await;
    let spent = first_grant(&bob.session);
    scene.sessions.save_refreshed(&bob.session, spent, tokens("newer"), None).await.unwrap();
    scene.sessions.adopt(scene.sessions.prepare(&mut settings(&[3, 2, 1]), true, clients()).unwrap());
    let carol = scene.begin("carol").await;
    scene.sessions.note_upstream(&carol.session, "tools").await.unwrap().unwrap();
    cookies.extend([bob.cookie, carol.cookie]);
    let mut dump = Vec::new();
    for listed in scene.store.memory.list().await.unwrap() {
        dump.push((listed.key, scene.store.memory.load(listed.key).await.unwrap().unwrap()));
    }
    (dump, cookies)
}

/// All that is 32 bytes long and known without a cookie: every key and what it hashes, and every piece of what is stored.
fn known(ring: &KeyRing, dump: &[(StoreKey, StoredSession)]) -> Vec<[u8; 32]> {
    let mut known = vec![[0; 32], [0xff; 32]];
    let mut pieces: Vec<Vec<u8>> = vec![NAMESPACE.into(), wiki().as_str().into(), ISSUER.into()];
    for (name, stored) in dump {
        known.push(*name.as_bytes());
        let card = Card::open(ring, name, &stored.sealed.card).unwrap();
        let index = IndexName::Subject { issuer: ISSUER, subject: &card.subject };
        known.extend(index.under_all_keys(ring, NAMESPACE).iter().map(|index| *index.as_bytes()));
        pieces.extend([name.as_bytes().to_vec(), card.subject.clone().into_bytes()]);
        for bytes in [&stored.sealed.record, &stored.sealed.card, &postcard::to_stdvec(&card).unwrap().into()] {
            known.extend(bytes.windows(32).map(|window| <[u8; 32]>::try_from(window).unwrap()));
        }
    }
    for key in ring.keys() {
        known.push(*key.root().expose());
        for purpose in Purpose::ALL {
            known.push(*key.purpose(purpose).expose());
            known.extend(pieces.iter().map(|piece| <[u8; 32]>::from(key.mac(purpose, piece).finalize().into_bytes())));
        }
    }
    known.extend(pieces.iter().map(|piece| <[u8; 32]>::from(Sha256::digest(piece))));
    known
}

#[tokio::test]
async fn ss_05_with_the_store_and_all_keys_but_no_cookie_no_record_opens() {
    let scene = Scene::new();
    let (dump, cookies) = stolen(&scene).await;
    let rules = scene.sessions.rules();
    let (ring, here) = (rules.key_ring(), wiki());
    assert_eq!((dump.len(), ring.kids().count()), (3, 3));
    let known = known(ring, &dump);
    for (store_key, stored) in &dump {
        let place = Place { namespace: NAMESPACE, host: &here, store_key };
        let opens = |secret: [u8; 32]| envelope::open(place, ring, &SessionSecret::new(secret), &stored.sealed.record);
        assert!(known.iter().all(|secret| opens(*secret).is_err()), "a record without its cookie");
        // As what is sealed under the ring alone it does not open either, whatever it is taken for.
        let bound: [&[&[u8]]; 3] = [&[], &[store_key.as_bytes()], &[store_key.as_bytes(), NAMESPACE.as_bytes()]];
        for purpose in Purpose::ALL {
            for info in KINDS {
                let kind = Kind { purpose, info };
                assert!(bound.iter().all(|bound| kind.open(ring, bound, &stored.sealed.record).is_err()));
            }
        }
        // The cookie of this very session opens it, and no other one: the trial above is a trial.
        let of_this = cookies.iter().filter(|cookie| {
            let ticket = Ticket::decode(cookie.as_bytes()).unwrap();
            opens(*ticket.secret().expose()).is_ok()
        });
        assert_eq!(of_this.count(), 1);
    }
}

#[tokio::test]
async fn ss_05_what_the_keys_do_open_names_people_and_holds_no_token() {
    let scene = Scene::new();
    let (dump, cookies) = stolen(&scene).await;
    let rules = scene.sessions.rules();
    let mut people = Vec::new();
    for (store_key, stored) in &dump {
        let card = Card::open(rules.key_ring(), store_key, &stored.sealed.card).unwrap();
        let plain = String::from_utf8_lossy(&postcard::to_stdvec(&card).unwrap()).into_owned();
        for hidden in ["access-", "refresh-", "id-alice", "id-newer", "@example.com", "sid-", "staff"] {
            assert!(!plain.contains(hidden), "{hidden} in {plain}");
        }
        assert!(cookies.iter().all(|cookie| !plain.contains(cookie)));
        people.push(card.subject);
    }
    people.sort();
    assert_eq!(people, ["alice", "bob", "carol"]);
}
