//! The limit on connections, and limits that change while a listener runs.

use super::*;

#[tokio::test]
async fn sl_05_at_the_limit_an_idle_connection_makes_room() {
    let mut server = serve_with(Limits { connections: 2, ..limits() }, echo).await;
    let mut guests = Vec::new();
    for path in ["/1", "/2", "/3"] {
        let mut guest = connect(&server).await;
        guest.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        read_until(&mut guest, &format!("{path} 0 true")).await;
        guests.push(guest);
    }
    assert_eq!(server.ends.recv().await, Some(ConnectionEnd::Displaced));
    assert_eq!(read_all(&mut guests[0]).await, "", "the one that has been idle for the longest");
    for guest in &mut guests[1..] {
        guest.write_all(b"GET /again HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        read_until(guest, "/again 0 true").await;
    }
}

#[tokio::test]
async fn sl_06_where_nobody_is_idle_the_newcomer_is_closed() {
    let begun = Arc::new(Notify::new());
    let (release, inside) = (Arc::new(Notify::new()), Arc::clone(&begun));
    let wait = Arc::clone(&release);
    let mut server = serve_with(Limits { connections: 1, ..limits() }, move |_| {
        let (inside, wait) = (Arc::clone(&inside), Arc::clone(&wait));
        async move {
            inside.notify_one();
            wait.notified().await;
            Response::new("done".into())
        }
    })
    .await;
    let mut busy = connect(&server).await;
    busy.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    begun.notified().await;
    for _ in 0..20 {
        assert_eq!(read_all(&mut connect(&server).await).await, "");
        assert_eq!(server.turned_away.recv().await, Some(()));
    }
    release.notify_one();
    read_until(&mut busy, "done").await;
}

#[tokio::test]
async fn limits_that_are_replaced_hold_for_new_connections() {
    let mut server = serve_with(Limits { connections: 1, ..limits() }, echo).await;
    let mut first = connect(&server).await;
    first.write_all(b"GE").await.unwrap();
    assert_eq!(read_all(&mut connect(&server).await).await, "");
    assert_eq!(server.turned_away.recv().await, Some(()));
    server.limits.replace(Limits { connections: 2, headers: 2, ..limits() });
    let mut second = connect(&server).await;
    let three = b"GET /2 HTTP/1.1\r\nHost: a\r\nA: a\r\nB: b\r\n\r\n";
    second.write_all(three).await.unwrap();
    assert!(read_until(&mut second, "\r\n").await.starts_with("HTTP/1.1 431"));
    first.write_all(&three[2..]).await.unwrap();
    read_until(&mut first, "/2 0 true").await;
    // Down again: who is there stays until somebody else needs the place.
    let mut third = connect(&server).await;
    third.write_all(b"GET /2 HTTP/1.1\r\n").await.unwrap();
    third.write_all(b"Host: a\r\n\r\n").await.unwrap();
    read_until(&mut third, "/2 0 true").await;
    server.limits.replace(Limits { connections: 1, ..limits() });
    for stream in [&mut first, &mut third] {
        stream.write_all(b"GET /still HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        read_until(stream, "/still 0 true").await;
    }
}
