//! Several targets: which one gets a request, which one is left out, how much each gets.

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n";

/// A target that answers every request with its number, and lets a test look at the requests first.
struct Numbered {
    address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
    hold: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Numbered {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn numbered(number: usize) -> Numbered {
    let (listener, address) = application().await;
    let (sender, requests) = mpsc::unbounded_channel();
    let hold = watch::Sender::new(false);
    let held = hold.clone();
    let task = tokio::spawn(async move {
        let mut served = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            served.spawn(serve(stream, number, sender.clone(), held.subscribe()));
        }
    });
    Numbered { address, requests, hold, task }
}

async fn serve(
    mut stream: TcpStream,
    number: usize,
    requests: mpsc::UnboundedSender<String>,
    mut held: watch::Receiver<bool>,
) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let _gone = requests.send(String::from_utf8(head).unwrap());
        if held.wait_for(|held| !held).await.is_err() {
            return;
        }
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n#{number}");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The number of the target that answers.
async fn ask(upstream: &Arc<Upstream>, session: Option<u64>) -> usize {
    let visitor = Visitor { session, ..Visitor::alice() };
    let mut gateway = gateway(upstream, visitor).await;
    send(&mut gateway.browser, GET).await;
    let answer = read_until(&mut gateway.browser, "\r\n\r\n#").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let number = gateway.browser.read_u8().await.unwrap();
    usize::from(number - b'0')
}

fn among(targets: &[&Numbered]) -> UpstreamSettings {
    let mut chosen = settings(targets[0].address);
    chosen.targets = targets.iter().map(|numbered| target(numbered.address)).collect();
    chosen
}

#[tokio::test]
async fn the_one_with_fewer_requests_gets_the_next() {
    let (mut one, mut other) = (numbered(0).await, numbered(1).await);
    for target in [&one, &other] {
        target.hold.send_replace(true);
    }
    let upstream = upstream(&among(&[&one, &other]));
    let (mut open, mut counts) = (Vec::new(), [0, 0]);
    for _ in 0..10 {
        let mut gateway = gateway(&upstream, Visitor::alice()).await;
        send(&mut gateway.browser, GET).await;
        open.push(gateway);
        tokio::select! {
            _ = one.requests.recv() => counts[0] += 1,
            _ = other.requests.recv() => counts[1] += 1,
        }
        // Of two targets both are drawn each time.
        assert!(i32::abs(counts[0] - counts[1]) <= 1, "{counts:?}");
    }
}

#[tokio::test]
async fn a_session_stays_at_its_target_and_only_those_of_a_lost_one_move() {
    let targets = [numbered(0).await, numbered(1).await, numbered(2).await];
    let mut chosen = among(&targets.each_ref());
    chosen.balance = Balance::Session;
    let all = upstream(&chosen);
    let mut homes = Vec::new();
    for session in 0..30 {
        let home = ask(&all, Some(session)).await;
        assert_eq!(ask(&all, Some(session)).await, home);
        homes.push(home);
    }
    for number in 0..3 {
        assert!(homes.iter().filter(|home| **home == number).count() > 2, "{homes:?}");
    }
    // The order in the file is not what decides, so that replicas with another one agree.
    let mut fewer = among(&[&targets[2], &targets[0]]);
    fewer.balance = Balance::Session;
    let fewer = upstream(&fewer);
    for (session, home) in (0..).zip(homes) {
        let now = ask(&fewer, Some(session)).await;
        assert!(home == 1 || now == home, "session {session} was at {home} and is at {now}");
    }
}

#[tokio::test]
async fn another_target_takes_what_one_does_not_accept() {
    let (gone, there) = (numbered(0).await, numbered(1).await);
    let chosen = among(&[&gone, &there]);
    drop(gone);
    let upstream = upstream(&chosen);
    for _ in 0..20 {
        // Not even a request with a body is lost: nothing of it has been sent.
        let mut gateway = gateway(&upstream, Visitor::alice()).await;
        send(&mut gateway.browser, "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nContent-Length: 0\r\n\r\n").await;
        assert!(read_until(&mut gateway.browser, "#1").await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn one_that_fails_is_left_out_and_comes_back() {
    let (silent, there) = (numbered(0).await, numbered(1).await);
    silent.hold.send_replace(true);
    let mut chosen = among(&[&silent, &there]);
    chosen.timeouts.response_header = Duration::from_millis(50);
    chosen.health = HealthSettings { failures: 2, ejection: Duration::from_millis(200), ..HealthSettings::default() };
    let upstream = upstream(&chosen);
    let out = &upstream.gauges.targets_out;
    let mut late = 0;
    while out.get() == 0 {
        let mut gateway = gateway(&upstream, Visitor::alice()).await;
        send(&mut gateway.browser, GET).await;
        late += usize::from(read_head(&mut gateway.browser).await.starts_with("HTTP/1.1 599"));
    }
    assert_eq!(late, 2);
    for _ in 0..10 {
        assert_eq!(ask(&upstream, None).await, 1);
    }
    silent.hold.send_replace(false);
    let mut again = false;
    while !again {
        again = ask(&upstream, None).await == 0;
    }
    assert_eq!(out.get(), 0);
}

#[tokio::test]
async fn when_none_is_well_all_are_tried() {
    let (one, other) = (numbered(0).await, numbered(1).await);
    let mut chosen = among(&[&one, &other]);
    chosen.timeouts.response_header = Duration::from_millis(50);
    chosen.health = HealthSettings { failures: 1, ejection: Duration::from_secs(60), ..HealthSettings::default() };
    for numbered in [&one, &other] {
        numbered.hold.send_replace(true);
    }
    let upstream = upstream(&chosen);
    while upstream.gauges.targets_out.get() < 2 {
        let mut gateway = gateway(&upstream, Visitor::alice()).await;
        send(&mut gateway.browser, GET).await;
        assert!(read_head(&mut gateway.browser).await.starts_with("HTTP/1.1 599"));
    }
    for numbered in [&one, &other] {
        numbered.hold.send_replace(false);
    }
    ask(&upstream, None).await;
    assert_eq!(upstream.gauges.targets_out.get(), 1, "who answers is well");
}

#[tokio::test]
async fn checks_put_a_target_out_and_bring_it_back() {
    let (mut checked, other) = (numbered(0).await, numbered(1).await);
    checked.hold.send_replace(true);
    let mut chosen = among(&[&checked, &other]);
    let millis = Duration::from_millis;
    let health = HealthSettings {
        path: Some("/healthz?deep".into()),
        interval: millis(10),
        timeout: millis(30),
        ..HealthSettings::default()
    };
    chosen.health = HealthSettings { failures: 2, successes: 2, ..health };
    let upstream = upstream(&chosen);
    let out = upstream.gauges.targets_out.clone();
    let question = checked.requests.recv().await.unwrap();
    assert!(question.starts_with("GET /healthz?deep HTTP/1.1\r\n"), "{question}");
    assert!(question.to_lowercase().contains(&format!("host: {}\r\n", checked.address)), "{question}");
    while out.get() == 0 {
        checked.requests.recv().await.unwrap();
    }
    for _ in 0..10 {
        assert_eq!(ask(&upstream, None).await, 1);
    }
    checked.hold.send_replace(false);
    while out.get() == 1 {
        checked.requests.recv().await.unwrap();
    }
    drop(upstream);
    // Nobody asks any more once the upstream is gone.
    let mut late = 0;
    while tokio::time::timeout(millis(100), checked.requests.recv()).await.is_ok() {
        late += 1;
        assert!(late < 5);
    }
}

#[tokio::test]
async fn a_target_gets_so_many_requests_at_once_and_a_bounded_queue_waits() {
    let mut only = numbered(0).await;
    only.hold.send_replace(true);
    let mut chosen = among(&[&only]);
    chosen.limits = TargetLimits { requests: Some(1), queue: 1, queue_timeout: Duration::from_secs(60) };
    let upstream = upstream(&chosen);
    let mut first = gateway(&upstream, Visitor::alice()).await;
    send(&mut first.browser, GET).await;
    only.requests.recv().await.unwrap();
    let (mut second, mut third) =
        (gateway(&upstream, Visitor::alice()).await, gateway(&upstream, Visitor::alice()).await);
    send(&mut second.browser, GET).await;
    send(&mut third.browser, GET).await;
    // One of the two waits, the other is told at once.
    let mut heads = [Box::pin(read_head(&mut second.browser)), Box::pin(read_head(&mut third.browser))];
    let (refused, place, _) = futures_util::future::select_all(heads.iter_mut()).await;
    assert!(refused.starts_with("HTTP/1.1 599"), "{refused}");
    let errors = if place == 0 { &mut second.errors } else { &mut third.errors };
    assert!(matches!(errors.recv().await, Some(UpstreamError::Busy)));
    assert!(only.requests.try_recv().is_err());
    only.hold.send_replace(false);
    let [one, other] = heads;
    assert!(if place == 0 { other } else { one }.await.starts_with("HTTP/1.1 200"));
    read_until(&mut first.browser, "#0").await;
}

#[tokio::test]
async fn who_waits_too_long_is_told_so() {
    let mut only = numbered(0).await;
    only.hold.send_replace(true);
    let mut chosen = among(&[&only]);
    chosen.limits = TargetLimits { requests: Some(1), queue: 1, queue_timeout: Duration::from_millis(20) };
    let upstream = upstream(&chosen);
    let mut first = gateway(&upstream, Visitor::alice()).await;
    send(&mut first.browser, GET).await;
    only.requests.recv().await.unwrap();
    let mut second = gateway(&upstream, Visitor::alice()).await;
    send(&mut second.browser, GET).await;
    assert!(matches!(second.errors.recv().await, Some(UpstreamError::Busy)));
    // Who has gone away makes room, and a WebSocket or an answer that is not read yet does not.
    drop(first);
    only.hold.send_replace(false);
    assert_eq!(ask(&upstream, None).await, 0);
}

#[tokio::test]
async fn every_target_sees_its_own_name_where_the_browsers_is_not_passed_on() {
    let mut targets = [numbered(0).await, numbered(1).await];
    let mut chosen = among(&targets.each_ref());
    chosen.pass_host = false;
    let upstream = upstream(&chosen);
    for _ in 0..10 {
        let number = ask(&upstream, None).await;
        let (address, request) = (targets[number].address, targets[number].requests.recv().await.unwrap());
        assert!(request.to_lowercase().contains(&format!("host: {address}\r\n")), "{request}");
    }
}
