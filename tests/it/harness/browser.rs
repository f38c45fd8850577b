//! A browser: a cookie jar, Fetch Metadata, redirects, forms. No scripts.
//!
//! A clone is another tab: it shares the cookies and has a page of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use url::{Url, form_urlencoded};

pub use super::asked::{Asked, Kind};
use super::cookie_jar::{Carriage, CookieJar};
pub use super::page::{Hop, Page};

use super::html::{Button, Form};
use super::journey::Journey;
use super::patiently;
use super::site::{loopback, trustworthy};

/// Where Chromium gives up.
const REDIRECTS: usize = 20;

#[derive(Debug, Default)]
pub struct Browser {
    jar: Arc<Mutex<CookieJar>>,
    hosts: Arc<Mutex<HashMap<String, SocketAddr>>>,
    page: Mutex<Option<Page>>,
    /// An old browser that says nothing about its requests.
    without_fetch_metadata: bool,
}

impl Clone for Browser {
    fn clone(&self) -> Self {
        Self {
            jar: Arc::clone(&self.jar),
            hosts: Arc::clone(&self.hosts),
            page: Mutex::new(self.page.lock().unwrap().clone()),
            without_fetch_metadata: self.without_fetch_metadata,
        }
    }
}

impl Browser {
    pub fn new() -> Self {
        Self::default()
    }

    /// A browser from before Fetch Metadata.
    pub fn old() -> Self {
        Self { without_fetch_metadata: true, ..Self::default() }
    }

    /// Sends `host` (a name, or a name and port) to `address`, over plain TCP whatever the scheme: as if something in
    /// front had ended TLS. Loopback names need no entry.
    pub fn resolve(&self, host: &str, address: SocketAddr) -> &Self {
        self.hosts.lock().unwrap().insert(host.into(), address);
        self
    }

    pub fn jar(&self) -> MutexGuard<'_, CookieJar> {
        self.jar.lock().unwrap()
    }

    /// The page this tab shows.
    pub fn page(&self) -> Page {
        self.page.lock().unwrap().clone().expect("this tab shows no page")
    }

    /// Types an address and follows where it leads.
    pub async fn navigate(&self, url: &str) -> Page {
        self.ask(url, Asked::new(Kind::Navigation).typed()).await
    }

    /// Types an address and stops at the first answer.
    pub async fn navigate_once(&self, url: &str) -> Page {
        self.ask(url, Asked::new(Kind::Navigation).typed().once()).await
    }

    /// Follows a link of the page; `href` may be relative.
    pub async fn click(&self, href: &str) -> Page {
        self.ask(href, Asked::new(Kind::Navigation)).await
    }

    pub async fn fetch(&self, url: &str) -> Page {
        self.ask(url, Asked::new(Kind::Fetch)).await
    }

    pub async fn image(&self, url: &str) -> Page {
        self.ask(url, Asked::new(Kind::Image)).await
    }

    pub async fn frame(&self, url: &str) -> Page {
        self.ask(url, Asked::new(Kind::Frame)).await
    }

    pub async fn prefetch(&self, url: &str) -> Page {
        self.ask(url, Asked::new(Kind::Prefetch)).await
    }

    /// Sends a form of the page that need not be there: what an attacker's page would do.
    pub async fn post_form(&self, url: &str, fields: &[(&str, &str)]) -> Page {
        self.ask(url, Asked::new(Kind::Navigation).form(fields)).await
    }

    /// Sends a form of the page, by `button` if it has a name.
    pub async fn submit(&self, form: &Form, button: Option<&Button>) -> Page {
        let base = self.page().url.clone();
        let chosen = button.and_then(|button| button.formaction.as_ref()).or(form.action.as_ref());
        let mut target = base.join(chosen.map_or("", String::as_str)).unwrap();
        let named = button.and_then(|button| Some((button.name.as_deref()?, button.value.as_str())));
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let fields: Vec<_> = fields.into_iter().chain(named).collect();
        if form.method == "post" {
            self.post_form(target.as_str(), &fields).await
        } else {
            target.set_query(Some(&form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()));
            self.click(target.as_str()).await
        }
    }

    /// Presses this person's button on the development provider's login form, which this tab must show.
    pub async fn login_as(&self, username: &str) -> Page {
        let page = self.page();
        let forms = page.forms();
        let found = forms.iter().find_map(|form| Some((form, form.button("account", username)?)));
        let (form, button) = found.unwrap_or_else(|| {
            panic!("{} {} shows no login form for {username}: {}", page.status, page.url, page.text())
        });
        self.submit(form, Some(button)).await
    }

    /// Goes to `url`, which must lead to the login form, and logs in there.
    pub async fn log_in(&self, url: &str, username: &str) -> Page {
        self.navigate(url).await;
        self.login_as(username).await
    }

    /// Sends a request and follows its redirects. A navigation becomes the page of this tab.
    pub async fn ask(&self, url: &str, asked: Asked) -> Page {
        let mut hops = Vec::new();
        let (kind, follow) = (asked.kind, asked.follow);
        let mut journey = self.depart(url, asked);
        loop {
            let (request_headers, response) = self.send(&journey).await;
            let (parts, body) = response.into_parts();
            let body = patiently("a body", body.collect()).await.unwrap().to_bytes();
            let hop = Hop {
                method: journey.asked.method.clone(),
                url: journey.url().clone(),
                request_headers,
                status: parts.status,
                headers: parts.headers,
                body,
            };
            let next = hop.location().filter(|_| follow && hop.status.is_redirection());
            hops.push(hop);
            match next {
                Some(next) => {
                    assert!(hops.len() <= REDIRECTS, "too many redirects: {:?}", journey.chain);
                    journey.redirect(hops.last().unwrap().status, next);
                }
                None => break,
            }
        }
        let page = Page { hops };
        if kind == Kind::Navigation {
            *self.page.lock().unwrap() = Some(page.clone());
        }
        page
    }

    /// Sends a request and gives the answer with its body still coming: for streams.
    pub async fn stream(&self, url: &str, asked: Asked) -> Response<Incoming> {
        let journey = self.depart(url, asked);
        self.send(&journey).await.1
    }

    /// Opens a WebSocket from the page of this tab, or with `origin` from elsewhere. An answer other than 101 is the
    /// error.
    pub async fn web_socket(
        &self,
        url: &str,
        origin: Option<&str>,
    ) -> Result<WebSocketStream<TcpStream>, Box<Response<Option<Vec<u8>>>>> {
        let base = self.page.lock().unwrap().as_ref().map(|page| page.url.clone());
        let url = absolute(base.as_ref(), url);
        let from = origin.map(ToOwned::to_owned).or_else(|| base.map(|base| base.origin().ascii_serialization()));
        let same_site = from.as_ref().is_none_or(|from| super::site::same_site(&Url::parse(from).unwrap(), &url));
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        let mut request = Request::get(format!("{scheme}{}", &url[url::Position::AfterScheme..]))
            .header("host", authority(&url))
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", tungstenite::handshake::client::generate_key());
        if let Some(from) = from {
            request = request.header("origin", from);
        }
        if let Some(cookies) = self.jar().header(&url, Carriage { same_site, safe_navigation: false }) {
            request = request.header("cookie", cookies);
        }
        let stream = self.connect(&url).await;
        let opening = tokio_tungstenite::client_async(request.body(()).unwrap(), stream);
        match patiently("a WebSocket", opening).await {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(response)) => Err(response),
            Err(error) => panic!("{error}"),
        }
    }

    fn depart(&self, url: &str, asked: Asked) -> Journey {
        let page = self.page.lock().unwrap();
        let base = page.as_ref().map(|page| page.url.clone());
        let hides = page.as_ref().is_some_and(|page| page.header("referrer-policy") == Some("no-referrer"));
        let url = absolute(base.as_ref(), url);
        let initiator = base.filter(|_| !asked.typed);
        Journey { asked, initiator, hides_referrer: hides, chain: vec![url] }
    }

    async fn send(&self, journey: &Journey) -> (HeaderMap, Response<Incoming>) {
        let (url, asked) = (journey.url(), &journey.asked);
        let carriage = journey.carriage();
        let mut request =
            Request::builder().method(&asked.method).uri(&url[url::Position::BeforePath..url::Position::AfterQuery]);
        let headers = request.headers_mut().unwrap();
        headers.insert("host", HeaderValue::from_str(&authority(url)).unwrap());
        journey.describe(headers, !self.without_fetch_metadata && trustworthy(url));
        let cookies = self.jar().header(url, carriage).filter(|_| journey.with_credentials());
        if let Some(cookies) = cookies {
            headers.insert("cookie", HeaderValue::from_str(&cookies).unwrap());
        }
        for (name, value) in &asked.headers {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let sent = headers.clone();
        let body = asked.body.as_ref().map(|(_, body)| body.clone()).unwrap_or_default();
        let request = request.body(Full::new(body)).unwrap();
        let stream = TokioIo::new(self.connect(url).await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let response = patiently(url.as_str(), sender.send_request(request)).await;
        let response = response.unwrap_or_else(|error| panic!("{} {url}: {error}", asked.method));
        if journey.with_credentials() {
            for line in response.headers().get_all("set-cookie") {
                self.jar().store(url, line.to_str().unwrap(), carriage);
            }
        }
        (sent, response)
    }

    async fn connect(&self, url: &Url) -> TcpStream {
        let hosts = self.hosts.lock().unwrap().clone();
        let name = url.host_str().unwrap();
        let known = hosts.get(&authority(url)).or_else(|| hosts.get(name)).copied();
        let port = url.port_or_known_default().unwrap();
        let address = known.or_else(|| loopback(url).then(|| SocketAddr::from(([127, 0, 0, 1], port))));
        let address = address.unwrap_or_else(|| panic!("no test may leave this machine: {url}"));
        let stream = patiently("a connection", TcpStream::connect(address)).await;
        let stream = stream.unwrap_or_else(|error| panic!("{url}: {error}"));
        stream.set_nodelay(true).unwrap();
        stream
    }
}

fn absolute(base: Option<&Url>, url: &str) -> Url {
    match base {
        Some(base) => base.join(url).unwrap(),
        None => Url::parse(url).unwrap(),
    }
}

/// Host and port as they stand in `Host`.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
