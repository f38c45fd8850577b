use super::redis_server::{Certificates, own_host};
use super::*;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_does_what_every_store_must() {
    let server = RedisServer::start();
    let stage = Stage::new(single(&server), |seconds| server.age(seconds)).await;
    conformance::run(&*stage.store, &stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_tls_and_the_documented_user_does_what_every_store_must() {
    let host = own_host();
    let certificates = Certificates::issue(std::slice::from_ref(&host));
    let server = RedisServer::with_tls(host, &certificates);
    let user = documented_user("planted-password");
    server.cli(&user.iter().map(String::as_str).collect::<Vec<_>>());
    let mut settings = single(&server);
    let identity = TlsIdentity {
        chain: vec![CertificateDer::from(certificates.client.clone())],
        key: PrivateKeyDer::Pkcs8(certificates.client_key.clone().into()),
    };
    settings.access = RedisAccess {
        user: Some(RedisUser {
            name: Some("vestibule".into()),
            password: Arc::new(StorePassword::new("planted-password".into())),
        }),
        sentinel_user: None,
        tls: Some(StoreTls {
            ca_certificates: vec![CertificateDer::from(certificates.ca.clone())],
            identity: Some(Arc::new(identity)),
        }),
    };
    let stage = Stage::new(settings, |seconds| server.age(seconds)).await;
    conformance::run(&*stage.store, &stage).await;
    stage.store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_under_sentinels_do_what_every_store_must_also_after_a_failover() {
    let group = SentinelGroup::start();
    let stage = Stage::new(sentinel(&group), |seconds| group.servers[group.primary()].age(seconds)).await;
    conformance::run(&*stage.store, &stage).await;
    group.servers[group.primary()].cli(&["FLUSHALL"]);
    group.fail_over();
    let on_the_new_one = |store: Arc<RedisStore>| async move { store.load(key(1)).await };
    while on_the_new_one(Arc::clone(&stage.store)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.hears().await;
    conformance::run(&*stage.store, &stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_does_what_every_store_must() {
    let group = ClusterGroup::start();
    let stage = Stage::new(cluster(&group), |seconds| group.primaries().for_each(|server| server.age(seconds))).await;
    conformance::run(&*stage.store, &stage).await;
    for id in 100..150 {
        stage.store.insert(key(id), sealed(1, &stage.clock, 36_000), used(&stage.clock, 3_600)).await.unwrap();
    }
    let spread = group.primaries().filter(|server| !server.keys().is_empty()).count();
    assert_eq!(spread, 3, "every primary has some");
}
