use super::*;

#[tokio::test]
async fn a_session_opens_warm_and_cold_with_what_it_began_with() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    for sessions in [&scene.sessions, scene.replica()] {
        let session = live(sessions.open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
        assert_eq!(**session.identity(), identity("alice"));
        assert_eq!(first_grant(&session).tokens, grant("alice").tokens);
        assert_eq!(session.created().as_seconds(), NOW);
        assert_eq!(session.absolute_expiry().as_seconds(), NOW + 36_000);
        assert_eq!(session.reference(), begun.session.reference());
        assert_eq!((session.sid(), session.generation()), (Some("sid-alice"), 1));
    }
    let loads = scene.store.loads.load(Ordering::SeqCst);
    live(scene.open(&begun.cookie).await);
    assert_eq!(scene.store.loads.load(Ordering::SeqCst), loads, "a warm session does not read the store");
    assert!(!format!("{begun:?}").contains("alice"));
}

#[tokio::test]
async fn ck_05_malformed_values_are_no_sessions() {
    let scene = Scene::new();
    for value in [&b""[..], b"x", &[0; COOKIE], &[b'A'; COOKIE], &[b'A'; 100 << 10]] {
        let opened = scene.sessions.open(&wiki(), value).await.unwrap();
        assert!(matches!(why(opened), WhyNot::Malformed));
    }
    assert_eq!(scene.store.loads.load(Ordering::SeqCst), 0);
}

const COOKIE: usize = crate::session::COOKIE_LENGTH;

#[tokio::test]
async fn ck_12_a_missing_record_is_unauthenticated_and_a_new_session_is_not_touched() {
    let scene = Scene::new();
    let old = scene.begin("alice").await;
    scene.sessions.end(&old.session, EndReason::SignOut).await.unwrap();
    let new = scene.begin("alice").await;
    assert_eq!(why(scene.open(&old.cookie).await), WhyNot::Missing);
    live(scene.open(&new.cookie).await);
}

#[tokio::test]
async fn ck_13_the_idle_limit_is_kept_to_the_second() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    scene.clock.pass(3_599);
    live(scene.open(&begun.cookie).await);
    settle().await;
    scene.clock.pass(3_599);
    live(scene.open(&begun.cookie).await);
    settle().await;
    scene.clock.pass(3_600);
    assert_eq!(why(scene.open(&begun.cookie).await), WhyNot::Idle);
    assert_eq!(why(scene.open(&begun.cookie).await), WhyNot::Missing);
}

#[tokio::test]
async fn ck_13_use_never_extends_the_absolute_limit() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    for _ in 0..19 {
        scene.clock.pass(1_890);
        live(scene.open(&begun.cookie).await);
        settle().await;
    }
    scene.clock.pass(36_000 - 19 * 1_890);
    assert_eq!(why(scene.open(&begun.cookie).await), WhyNot::Expired);
    assert_eq!(why(scene.open(&begun.cookie).await), WhyNot::Missing);
}

#[tokio::test]
async fn ck_13_a_clock_set_back_makes_nobody_live_longer() {
    let scene = Scene::new();
    let unused = scene.begin("alice").await;
    let used = scene.begin("bob").await;
    scene.clock.jump(-3_600);
    scene.clock.pass(120);
    live(scene.open(&used.cookie).await);
    settle().await;
    scene.clock.pass(3_600 - 120);
    assert_eq!(why(scene.open(&unused.cookie).await), WhyNot::Idle);
    live(scene.open(&used.cookie).await);
    settle().await;
    scene.clock.pass(3_600);
    assert_eq!(why(scene.open(&used.cookie).await), WhyNot::Idle);
}

#[tokio::test]
async fn ss_08_jumps_of_the_clock_neither_panic_nor_keep_a_session_for_ever() {
    const FIFTY_YEARS: i64 = 50 * 365 * 86_400;
    for jump in [3_600, -3_600, FIFTY_YEARS, -FIFTY_YEARS] {
        let scene = Scene::new();
        let begun = scene.begin("alice").await;
        scene.clock.jump(jump);
        let opened = scene.open(&begun.cookie).await;
        assert_eq!(matches!(opened, Opened::Live(_)), jump == -3_600, "{jump}");
        let fresh = scene.begin("bob").await;
        live(scene.open(&fresh.cookie).await);
        scene.clock.jump(-jump);
        for _ in 0..40 {
            scene.clock.pass(1_000);
            for cookie in [&begun.cookie, &fresh.cookie] {
                scene.open(cookie).await;
            }
            settle().await;
        }
        for cookie in [&begun.cookie, &fresh.cookie] {
            assert!(matches!(scene.open(cookie).await, Opened::None(_)), "{jump}");
        }
    }
}

#[tokio::test]
async fn ss_09_sessions_of_the_next_century_live_like_any_other() {
    let scene = Scene::new();
    scene.clock.jump((1 << 32) - i64::try_from(NOW).unwrap() - 5);
    let begun = scene.begin("alice").await;
    scene.clock.pass(10);
    live(scene.open(&begun.cookie).await);
    live(scene.replica().open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
}

#[tokio::test]
async fn ck_16_a_cookie_of_one_gateway_or_host_is_worth_nothing_at_another() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let elsewhere = scene.other(settings(&[1]), "https://wiki.example.com/other", clients());
    assert_eq!(why(elsewhere.open(&wiki(), begun.cookie.as_bytes()).await.unwrap()), WhyNot::Missing);
    let tools = scene.sessions.open(&host("tools.example.com"), begun.cookie.as_bytes()).await.unwrap();
    assert_eq!(why(tools), WhyNot::Missing);
    live(scene.open(&begun.cookie).await);
}

#[tokio::test]
async fn ck_18_a_warm_session_does_not_open_with_another_secret() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    live(scene.open(&begun.cookie).await);
    let mut wrong = begun.cookie.clone().into_bytes();
    let last = wrong.last_mut().unwrap();
    *last = if *last == b'A' { b'B' } else { b'A' };
    for sessions in [&scene.sessions, scene.replica()] {
        assert_eq!(why(sessions.open(&wiki(), &wrong).await.unwrap()), WhyNot::Tampered);
    }
    live(scene.open(&begun.cookie).await);
}

#[tokio::test]
async fn ss_03_a_tampered_record_is_denied_and_ends_nobody_elses_session() {
    let scene = Scene::new();
    let (alice, bob) = (scene.begin("alice").await, scene.begin("bob").await);
    let good = scene.store.memory.load(alice.session.store_key()).await.unwrap().unwrap();
    let other = scene.store.memory.load(bob.session.store_key()).await.unwrap().unwrap();
    let forge = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut record = good.sealed.record.to_vec();
        change(&mut record);
        StoredSession { sealed: SealedSession { record: record.into(), ..good.sealed.clone() }, ..good.clone() }
    };
    let mut newer = good.clone();
    newer.sealed.generation = 2;
    let mut longer = good.clone();
    longer.sealed.absolute_expiry = Timestamp::MAX;
    let forgeries = [
        forge(&|record| record.truncate(60)),
        forge(&|record| record.clear()),
        forge(&|record| *record.last_mut().unwrap() ^= 1),
        forge(&|record| record[0] = 2),
        forge(&|record| record.resize(10 << 20, 0)),
        other,
        newer,
        longer,
    ];
    for forged in forgeries {
        *scene.store.forged.lock().unwrap() = Some(forged);
        let opened = scene.replica().open(&wiki(), alice.cookie.as_bytes()).await.unwrap();
        assert_eq!(why(opened), WhyNot::Tampered);
    }
    *scene.store.forged.lock().unwrap() = None;
    live(scene.replica().open(&wiki(), alice.cookie.as_bytes()).await.unwrap());
}

#[tokio::test]
async fn ss_01_a_store_that_is_away_is_an_error_for_a_cold_session_and_nothing_to_a_warm_one() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    scene.store.away.store(true, Ordering::SeqCst);
    live(scene.open(&begun.cookie).await);
    let cold = scene.replica().open(&wiki(), begun.cookie.as_bytes()).await;
    assert!(matches!(cold, Err(SessionError::Store(_))));
    scene.store.away.store(false, Ordering::SeqCst);
    live(scene.replica().open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
}

#[tokio::test]
async fn cr_08_rotation_logs_nobody_out_and_removal_exactly_those_of_the_key() {
    let scene = Scene::new();
    let mut old = Vec::new();
    for number in 0..1_000 {
        old.push(scene.begin(&format!("s{number}")).await.cookie);
    }
    let rotated = scene.other(settings(&[2, 1]), NAMESPACE, clients());
    let new = rotated.begin(scene.login("new")).await.unwrap();
    for cookie in &old {
        live(rotated.open(&wiki(), cookie.as_bytes()).await.unwrap());
    }
    let moved = live(rotated.open(&wiki(), old[0].as_bytes()).await.unwrap());
    rotated.note_upstream(&moved, "tools").await.unwrap().unwrap();
    let removed = scene.other(settings(&[2]), NAMESPACE, clients());
    for (number, cookie) in old.iter().enumerate() {
        let opened = removed.open(&wiki(), cookie.as_bytes()).await.unwrap();
        if number == 0 {
            live(opened);
        } else {
            assert_eq!(why(opened), WhyNot::UnknownKey);
        }
    }
    live(removed.open(&wiki(), new.cookie.as_bytes()).await.unwrap());
}

#[tokio::test]
async fn another_issuer_or_client_in_the_configuration_opens_no_old_session() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    for (issuer, client_id) in [("https://id.example.com/", "wiki"), ("https://id.example.com", "other")] {
        let client = RegisteredClient { issuer: issuer.into(), client_id: client_id.into() };
        let other = scene.other(settings(&[1]), NAMESPACE, [(wiki(), client)].into());
        assert_eq!(why(other.open(&wiki(), begun.cookie.as_bytes()).await.unwrap()), WhyNot::OtherConfiguration);
    }
    let none = scene.other(settings(&[1]), NAMESPACE, HashMap::new());
    assert_eq!(why(none.open(&wiki(), begun.cookie.as_bytes()).await.unwrap()), WhyNot::OtherConfiguration);
}

#[tokio::test]
async fn cr_03_every_way_of_not_opening_is_the_same_kind_of_answer() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let stored = scene.store.memory.load(begun.session.store_key()).await.unwrap().unwrap();
    let with = |record: Vec<u8>| StoredSession {
        sealed: SealedSession { record: record.into(), ..stored.sealed.clone() },
        ..stored.clone()
    };
    let mut bad_tag = stored.sealed.record.to_vec();
    *bad_tag.last_mut().unwrap() ^= 1;
    let mut unknown_kid = stored.sealed.record.to_vec();
    unknown_kid[1..5].fill(0);
    for (forged, expected) in [
        (with(bad_tag), WhyNot::Tampered),
        (with(b"bad format".to_vec()), WhyNot::Tampered),
        (with(unknown_kid), WhyNot::UnknownKey),
    ] {
        *scene.store.forged.lock().unwrap() = Some(forged);
        assert_eq!(why(scene.replica().open(&wiki(), begun.cookie.as_bytes()).await.unwrap()), expected);
    }
    *scene.store.forged.lock().unwrap() = Some(stored);
    scene.clock.pass(36_000);
    assert_eq!(why(scene.replica().open(&wiki(), begun.cookie.as_bytes()).await.unwrap()), WhyNot::Expired);
}

#[tokio::test]
async fn a_session_used_at_another_replica_is_not_idle_here() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    scene.clock.pass(3_000);
    live(scene.replica().open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
    settle().await;
    scene.clock.pass(1_000);
    live(scene.open(&begun.cookie).await);
}

#[tokio::test]
async fn use_is_written_at_most_once_per_interval_and_moves_no_generation() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    for _ in 0..120 {
        scene.clock.pass(1);
        live(scene.open(&begun.cookie).await);
        live(scene.open(&begun.cookie).await);
        settle().await;
    }
    assert_eq!(scene.store.touches.load(Ordering::SeqCst), 2);
    let stored = scene.store.memory.load(begun.session.store_key()).await.unwrap().unwrap();
    assert_eq!((stored.last_use.as_seconds(), stored.sealed.generation), (NOW + 120, 1));
}

#[tokio::test]
async fn sweeping_lets_go_of_what_nobody_uses() {
    let scene = Scene::new();
    scene.begin("alice").await;
    assert_eq!((scene.sessions.cache.len(), scene.sessions.live_sessions()), (1, 1));
    scene.clock.pass(3_600);
    scene.sessions.sweep().await;
    assert_eq!((scene.sessions.cache.len(), scene.sessions.live_sessions()), (0, 0));
    let passed = scene.sessions.take_passed();
    assert_eq!(passed.iter().map(|passed| passed.reason).collect::<Vec<_>>(), [EndReason::Idle]);
    assert!(scene.sessions.take_passed().is_empty(), "each is told once");
    drop(passed);
    assert!(scene.sessions.registry.held().is_empty());
}

#[tokio::test]
async fn a_marker_goes_up_once_per_gateway_and_purpose() {
    let scene = Scene::new();
    let until = scene.clock.now().plus(Duration::from_secs(60));
    let id = [1; 16];
    assert!(scene.sessions.put_once(Marker::Attempt(&id), until).await.unwrap());
    assert!(!scene.replica().put_once(Marker::Attempt(&id), until).await.unwrap());
    let other = scene.other(settings(&[1]), "https://other.example.com", clients());
    assert!(other.put_once(Marker::Attempt(&id), until).await.unwrap());
    let logout = |issuer, jti| Marker::LogoutToken { issuer, jti, turn: 0 };
    assert!(scene.sessions.put_once(logout("a", "bc"), until).await.unwrap());
    assert!(scene.sessions.put_once(logout("ab", "c"), until).await.unwrap());
    assert!(!scene.sessions.put_once(logout("a", "bc"), until).await.unwrap());
    scene.store.away.store(true, Ordering::SeqCst);
    assert!(scene.sessions.put_once(Marker::Attempt(&[2; 16]), until).await.is_err());
}

#[tokio::test]
async fn mm_03_cookies_of_no_session_leave_nothing_behind() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    for _ in 0..1_000 {
        let unknown = crate::session::ticket::Ticket::draw(&*scene.entropy).unwrap().encode();
        assert_eq!(why(scene.open(&unknown).await), WhyNot::Missing);
        // A session that is there, with a secret that is not its own.
        let stolen = begun.cookie.chars().take(26).chain(unknown.chars().skip(26)).collect::<String>();
        assert!(matches!(scene.open(&stolen).await, Opened::None(_)));
    }
    assert_eq!((scene.sessions.cache.len(), scene.sessions.live_sessions()), (1, 1));
    assert_eq!(scene.sessions.registry.held(), [begun.session.store_key()]);
    assert!(scene.sessions.take_passed().is_empty());
    live(scene.open(&begun.cookie).await);
}

#[tokio::test]
async fn mm_03_opened_sessions_take_bounded_room_and_large_ones_more_of_it() {
    let scene = Scene::new();
    let small = scene.begin("alice").await.session;
    let large = Arc::new(OpenedSession {
        identified: Arc::clone(&small.identified),
        generation: 1,
        content: small.content.clone(),
        pseudonym: String::new(),
        sealed_under: small.sealed_under,
        edition: small.edition,
        absolute_at: small.absolute_at,
        size: 64 << 10,
    });
    for (session, most) in [(&small, 10_000), (&large, 10_000 / 9)] {
        let cache = crate::session::cache::SessionCache::new(10_000);
        for number in 0..20_000_u32 {
            cache.put(cache_key(&number.to_be_bytes(), &wiki()), Arc::clone(session));
        }
        assert!((1..=most).contains(&cache.len()), "{} of {most}", cache.len());
    }
}
