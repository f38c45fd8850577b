use super::*;
use crate::session::fixtures::tokens;
use crate::session::grant::GrantMark;

/// Alice logged in, open at two replicas that follow the store, her tokens refreshed at the first, and a failover that
/// has lost this.
struct Lost {
    scene: Scene,
    begun: Begun,
    /// What the store had before the refresh.
    before: StoredSession,
    followers: Vec<tokio::task::JoinHandle<()>>,
}

impl Lost {
    async fn new() -> Self {
        let scene = Scene::new();
        let begun = scene.begin("alice").await;
        let replicas = [&scene.sessions, scene.replica()];
        let followers = replicas.map(|sessions| tokio::spawn(Arc::clone(sessions).run())).into();
        settle().await;
        live(scene.replica().open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
        let before = scene.store.memory.load(begun.session.store_key()).await.unwrap().unwrap();
        scene.sessions.save_refreshed(&begun.session, first_grant(&begun.session), tokens("new"), None).await.unwrap();
        let lost = Self { scene, begun, before, followers };
        lost.go_back(2).await;
        settle().await;
        lost
    }

    async fn go_back(&self, from: u64) {
        let (key, sealed) = (self.begun.session.store_key(), self.before.sealed.clone());
        assert_eq!(self.scene.store.memory.replace(key, from, sealed).await.unwrap(), Replaced::Written);
    }

    /// As it is noticed: nothing is heard for a moment.
    async fn notice(&self) {
        self.scene.clock.pass(1);
        self.scene.go_deaf().await;
        self.scene.hear_again().await;
        self.scene.clock.pass(1);
    }

    async fn opened_at(&self, sessions: &Sessions) -> Result<Opened, SessionError> {
        sessions.open(&wiki(), self.begun.cookie.as_bytes()).await
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        self.followers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

fn access(session: &OpenedSession) -> &str {
    first_grant(session).tokens.access_token.expose()
}

#[tokio::test]
async fn who_has_the_newer_version_open_puts_it_back_for_everybody() {
    let lost = Lost::new().await;
    lost.notice().await;
    let session = live(lost.opened_at(&lost.scene.sessions).await.unwrap());
    assert_eq!((access(&session), session.generation()), ("access-new", 3));
    assert!(session.is_current());
    let elsewhere = live(lost.opened_at(lost.scene.replica()).await.unwrap());
    assert_eq!((access(&elsewhere), elsewhere.generation()), ("access-new", 3));
    let cold = lost.scene.other(settings(&[1]), NAMESPACE, clients());
    assert_eq!(access(&live(lost.opened_at(&cold).await.unwrap())), "access-new");
}

#[tokio::test]
async fn who_waits_for_the_record_or_writes_it_puts_it_back_as_well() {
    let lost = Lost::new().await;
    let session = live(lost.opened_at(&lost.scene.sessions).await.unwrap());
    assert_eq!(session.generation(), 2, "nothing has been noticed");
    let read = lost.scene.sessions.reload(&session).await.unwrap().unwrap();
    assert_eq!((access(&read), read.generation()), ("access-new", 3));
    lost.go_back(3).await;
    let spent = first_grant(&read);
    let saved = lost.scene.sessions.save_refreshed(&read, spent, tokens("newest"), None).await.unwrap();
    assert!(matches!(&saved, Saved::Written(session) if access(session) == "access-newest"), "{saved:?}");
}

#[tokio::test]
async fn without_a_newer_version_that_of_the_store_goes_on_after_a_moment() {
    let lost = Lost::new().await;
    let replica = lost.scene.replica();
    // Until then it may be on its way: what is open serves, what is not cannot be known.
    let session = live(lost.opened_at(replica).await.unwrap());
    assert_eq!(session.generation(), 1);
    assert!(matches!(replica.reload(&session).await, Err(SessionError::Store(_))), "no logout");
    lost.scene.clock.pass(2);
    let session = live(lost.opened_at(replica).await.unwrap());
    assert_eq!((access(&session), session.generation()), ("access-alice", 1));
    assert!(session.is_current(), "and is warm again");
    assert!(replica.reload(&session).await.unwrap().is_some());
}

#[tokio::test]
async fn what_was_announced_before_a_gap_is_not_waited_for_long_after_it() {
    let lost = Lost::new().await;
    let replica = lost.scene.replica();
    lost.notice().await;
    assert!(matches!(lost.opened_at(replica).await, Ok(Opened::Live(session)) if session.generation() == 1));
    assert!(matches!(replica.reload(&lost.begun.session).await, Err(SessionError::Store(_))), "a second after it");
    lost.scene.clock.pass(1);
    assert!(live(lost.opened_at(replica).await.unwrap()).is_current(), "and at the first look two seconds after it");
}

#[tokio::test]
async fn what_has_ended_is_not_put_back() {
    let lost = Lost::new().await;
    lost.scene.go_deaf().await;
    // Nobody here hears of it, and the store shows what was before for a moment longer.
    lost.scene.store.memory.remove(lost.begun.session.store_key()).await.unwrap();
    *lost.scene.store.forged.lock().unwrap() = Some(lost.before.clone());
    let session = lost.begun.session.clone();
    assert!(lost.scene.sessions.reload(&session).await.unwrap().is_none());
    *lost.scene.store.forged.lock().unwrap() = None;
    lost.scene.hear_again().await;
    assert_eq!(why(lost.opened_at(&lost.scene.sessions).await.unwrap()), WhyNot::Missing);
    assert_eq!(lost.scene.store.memory.load(session.store_key()).await.unwrap(), None);
}

#[tokio::test]
async fn of_many_that_put_it_back_one_does() {
    let lost = Lost::new().await;
    lost.notice().await;
    let opens = (0..20).map(|_| lost.opened_at(&lost.scene.sessions));
    for opened in futures_util::future::join_all(opens).await {
        assert_eq!(access(&live(opened.unwrap())), "access-new");
    }
    let stored = lost.scene.store.memory.load(lost.begun.session.store_key()).await.unwrap().unwrap();
    assert_eq!(stored.sealed.generation, 3);
}

#[tokio::test]
async fn what_others_have_refreshed_since_is_not_written_over() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let follower = tokio::spawn(Arc::clone(&scene.sessions).run());
    let key = begun.session.store_key();
    let before = scene.store.memory.load(key).await.unwrap().unwrap();
    let noted = scene.sessions.note_upstream(&begun.session, "tools").await.unwrap().unwrap();
    let noted = scene.sessions.note_upstream(&noted, "files").await.unwrap().unwrap();
    scene.store.memory.replace(key, noted.generation(), before.sealed).await.unwrap();
    let cold = scene.other(settings(&[1]), NAMESPACE, clients());
    let other = live(cold.open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
    cold.save_refreshed(&other, first_grant(&other), tokens("new"), None).await.unwrap();
    settle().await;
    scene.clock.pass(1);
    scene.go_deaf().await;
    scene.hear_again().await;
    scene.clock.pass(1);
    let session = live(scene.open(&begun.cookie).await);
    assert_eq!((access(&session), session.generation()), ("access-new", 4));
    assert_eq!(session.content.upstreams, ["wiki", "tools", "files"]);
    follower.abort();
}

#[tokio::test]
async fn what_others_have_noted_of_a_refresh_token_stays_with_it() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let key = begun.session.store_key();
    let before = scene.store.memory.load(key).await.unwrap().unwrap();
    let noted = scene.sessions.note_upstream(&begun.session, "tools").await.unwrap().unwrap();
    let noted = scene.sessions.note_upstream(&noted, "files").await.unwrap().unwrap();
    scene.store.memory.replace(key, noted.generation(), before.sealed).await.unwrap();
    let cold = scene.other(settings(&[1]), NAMESPACE, clients());
    let other = live(cold.open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
    let mark = GrantMark::UncertainSince(Timestamp::from_seconds(NOW));
    cold.mark(&other, first_grant(&other), mark).await.unwrap();
    let put_back = scene.sessions.reload(&noted).await.unwrap().unwrap();
    assert_eq!(first_grant(&put_back).uncertain_since, Some(Timestamp::from_seconds(NOW)), "it may have been spent");
}
