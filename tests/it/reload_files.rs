//! The program follows the files of its configuration: a signal, a change, a symbolic link that is swapped.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::harness::browser::Browser;
use crate::harness::gateway::CLIENT_ID;
use crate::harness::provider::TestProvider;
use crate::harness::raw;
use crate::harness::upstream::RecordingUpstream;
use crate::process::{Configured, SECRET, Serving, configuration, free_port};

/// A program whose upstream has one public path.
struct Scene {
    provider: TestProvider,
    upstream: RecordingUpstream,
    port: u16,
}

impl Scene {
    async fn new() -> Self {
        let scene = Self {
            provider: TestProvider::start().await,
            upstream: RecordingUpstream::start().await,
            port: free_port().await,
        };
        scene.provider.register_gateway(CLIENT_ID, SECRET, &scene.public_url());
        scene
    }

    fn public_url(&self) -> String {
        format!("http://app.localhost:{}", self.port)
    }

    /// Configured so that `path` is public.
    fn text(&self, path: &str) -> String {
        let address = format!("127.0.0.1:{}", self.port);
        configuration(self.provider.issuer(), &address, &self.public_url(), &self.upstream.url())
            .replace("/public/**", path)
    }

    async fn status(&self, serving: &Serving, path: &str) -> u16 {
        let request = format!("GET {path} HTTP/1.1\r\nHost: app.localhost:{}\r\n\r\n", self.port);
        raw::ask(serving.public, request).await.unwrap().status
    }
}

async fn in_force(serving: &Serving) -> Value {
    let verbose: Value = serde_json::from_str(&serving.probe("/readyz?verbose").await).unwrap();
    assert_eq!(verbose["status"], "ready");
    verbose["configuration"].clone()
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

async fn counts(serving: &Serving, outcome: &str) -> u32 {
    let metrics = serving.probe("/metrics").await;
    let start = format!("vestibule_config_reloads_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_changed_file_comes_into_force_and_nobody_is_logged_out() {
    let scene = Scene::new().await;
    let (first, second) = (scene.text("/one/**"), scene.text("/two/**"));
    let configured = Configured::with(&first);
    let mut serving = Serving::start(&configured.path()).await;
    let browser = Browser::new();
    assert_eq!(browser.log_in(&format!("{}/", scene.public_url()), "alice").await.status, 200);
    let before = in_force(&serving).await;
    assert_eq!((&before["digest"], &before["generation"]), (&digest(&first).into(), &1.into()));
    assert_eq!((scene.status(&serving, "/one/x").await, scene.status(&serving, "/two/x").await), (200, 401));

    configured.write("vestibule.toml", &second);
    let line = serving.logs("config.reloaded").await;
    assert_eq!((&line["digest"], &line["level"]), (&digest(&second).into(), &"INFO".into()));
    assert_eq!((scene.status(&serving, "/one/x").await, scene.status(&serving, "/two/x").await), (401, 200));
    let after = in_force(&serving).await;
    assert_eq!((&after["digest"], &after["generation"]), (&digest(&second).into(), &2.into()));
    assert!(after["since"].as_str().unwrap() >= before["since"].as_str().unwrap());
    assert_eq!(browser.fetch(&format!("{}/", scene.public_url())).await.status, 200);

    // The signal does the same at once; where nothing has changed it says so.
    serving.signal("-HUP").await;
    serving.logs("config.unchanged").await;
    assert_eq!((counts(&serving, "ok").await, counts(&serving, "unchanged").await), (1, 1));
    assert_eq!(browser.fetch(&format!("{}/", scene.public_url())).await.status, 200);
    serving.signal("-INT").await;
    assert_eq!(serving.end().await.0, Some(0));
}

type Breaking<'a> = Box<dyn Fn() + 'a>;

#[tokio::test]
async fn cf_03_a_broken_file_is_reported_and_the_old_one_stays() {
    let scene = Scene::new().await;
    let good = scene.text("/one/**");
    let configured = Configured::with(&good);
    let mut serving = Serving::start(&configured.path()).await;
    let secret = configured.file("secret");
    let broken: [(&str, Breaking<'_>, &str); 8] = [
        ("syntax", Box::new(|| drop(configured.write("vestibule.toml", "public_url = "))), "vestibule.toml:1:"),
        (
            "two problems",
            Box::new(|| {
                let text = good.replace("client_id", "client_di").replace("target =", "tarhet =");
                configured.write("vestibule.toml", &text);
            }),
            "did you mean",
        ),
        (
            "restart",
            Box::new(|| {
                let text = good.replace(&format!("127.0.0.1:{}", scene.port), "127.0.0.1:9");
                configured.write("vestibule.toml", &text);
            }),
            "a change of listen.address needs a restart",
        ),
        (
            "no file",
            Box::new(|| std::fs::remove_file(configured.file("vestibule.toml")).unwrap()),
            "there is no such file",
        ),
        (
            "no authority any more",
            Box::new(|| {
                configured.write("ca.pem", "");
                configured.write("vestibule.toml", &good.replace("client_id", "ca_file = \"ca.pem\"\nclient_id"));
            }),
            "holds no certificate",
        ),
        (
            "empty secret",
            Box::new(|| {
                configured.write("vestibule.toml", &good);
                configured.write("secret", "");
            }),
            "is empty",
        ),
        ("no secret", Box::new(|| std::fs::remove_file(&secret).unwrap()), "does not exist"),
        ("a folder", Box::new(|| std::fs::create_dir(&secret).unwrap()), "is a directory"),
    ];
    for (rejected, (what, breaks, words)) in (1..).zip(&broken) {
        breaks();
        let line = loop {
            serving.signal("-HUP").await;
            let line = serving.logs("config.rejected").await;
            // The change may have been seen in the middle; what is asked for is asked of the end.
            if line["message"].as_str().unwrap().contains(words) {
                break line;
            }
        };
        assert_eq!(line["level"], "ERROR", "{what}");
        assert!(line["message"].as_str().unwrap().contains("the configuration in force stays"), "{line}");
        assert_eq!((scene.status(&serving, "/one/x").await, scene.status(&serving, "/").await), (200, 401), "{what}");
        let told = in_force(&serving).await;
        assert_eq!((&told["digest"], &told["generation"]), (&digest(&good).into(), &1.into()), "{what}");
        assert_eq!(told["newer_refused"], true, "{what}");
        assert!(counts(&serving, "rejected").await >= rejected);
        assert!(serving.probe("/metrics").await.contains("vestibule_config_last_reload_successful 0"));
    }
    // The one in force again: the watch sees it come.
    std::fs::remove_dir(&secret).unwrap();
    configured.write("secret", SECRET);
    serving.logs("config.unchanged").await;
    assert_eq!(in_force(&serving).await["newer_refused"], false);
    serving.signal("-INT").await;
    let (_, log, _) = serving.end().await;
    assert!(!log.contains(SECRET), "{log}");
}

/// A folder as Kubernetes mounts it: files are links through `..data` to a folder of one version.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(files: &[(&str, &str)]) -> Self {
        let mount = Self(tempfile::tempdir().unwrap());
        mount.put("..2026_01", files);
        for (name, _) in files {
            symlink(Path::new("..data").join(name), mount.0.path().join(name)).unwrap();
        }
        mount
    }

    /// The steps of the kubelet's atomic writer.
    fn put(&self, version: &str, files: &[(&str, &str)]) {
        let root = self.0.path();
        std::fs::create_dir(root.join(version)).unwrap();
        for (name, text) in files {
            let file = root.join(version).join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let old = std::fs::read_link(root.join("..data"));
        symlink(version, root.join("..data_tmp")).unwrap();
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        if let Ok(old) = old {
            std::fs::remove_dir_all(root.join(old)).unwrap();
        }
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

#[tokio::test]
async fn a_swapped_symbolic_link_is_a_change_of_the_configuration_and_of_a_secret() {
    let scene = Scene::new().await;
    let secrets = Mount::new(&[("client-secret", SECRET)]);
    let text = |path: &str| scene.text(path).replace("\"secret\"", &format!("\"{}\"", secrets.file("client-secret")));
    let configuration = Mount::new(&[("vestibule.toml", &text("/one/**"))]);
    let mut serving = Serving::start(&configuration.file("vestibule.toml")).await;
    for (version, path) in [("..2026_02", "/two"), ("..2026_03", "/three")] {
        configuration.put(version, &[("vestibule.toml", &text(&format!("{path}/**")))]);
        serving.logs("config.reloaded").await;
        assert_eq!(scene.status(&serving, &format!("{path}/x")).await, 200);
        assert_eq!(scene.status(&serving, "/one/x").await, 401);
    }
    let digest = in_force(&serving).await["digest"].clone();
    for (version, secret) in [("..2026_02", "the-second-secret"), ("..2026_03", "the-third-secret")] {
        secrets.put(version, &[("client-secret", secret)]);
        scene.provider.register_gateway(CLIENT_ID, secret, &scene.public_url());
        serving.logs("config.reloaded").await;
        let browser = Browser::new();
        let page = browser.log_in(&format!("{}/", scene.public_url()), "alice").await;
        assert_eq!(page.status, 200, "{}", page.text());
    }
    let told = in_force(&serving).await;
    assert_eq!((&told["digest"], &told["generation"]), (&digest, &5.into()), "a digest tells nothing of a secret");
    // A version with the same bytes is none.
    secrets.put("..2026_04", &[("client-secret", "the-third-secret")]);
    configuration.put("..2026_04", &[("vestibule.toml", "broken")]);
    serving.logs("config.rejected").await;
    assert_eq!(counts(&serving, "ok").await, 4);
    serving.signal("-INT").await;
    let (code, log, _) = serving.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("\"event\":\"config.rejected\"").count(), 1, "{log}");
}

#[tokio::test]
async fn ad_08_the_detail_of_readiness_names_no_version_host_or_url() {
    let scene = Scene::new().await;
    let configured = Configured::with(&scene.text("/one/**"));
    let serving = Serving::start(&configured.path()).await;
    let told = serving.probe("/readyz?verbose").await;
    for word in ["localhost", "127.0.0.1", "://", env!("CARGO_PKG_VERSION"), "vestibule.toml", CLIENT_ID] {
        assert!(!told.contains(word), "{word} in {told}");
    }
    let mut names: Vec<_> = in_force(&serving).await.as_object().unwrap().keys().cloned().collect();
    names.sort_unstable();
    assert_eq!(names, ["digest", "generation", "newer_refused", "since"]);
}

#[tokio::test]
async fn the_level_of_the_log_and_the_access_log_follow_the_file() {
    let scene = Scene::new().await;
    let text = |log: &str| format!("{}[log]\n{log}\n", scene.text("/one/**"));
    let configured = Configured::with(&text("access = false"));
    let mut serving = Serving::start(&configured.path()).await;
    scene.status(&serving, "/one/silent").await;
    configured.write("vestibule.toml", &text("level = \"debug\""));
    serving.logs("config.reloaded").await;
    scene.status(&serving, "/").await;
    assert_eq!(serving.logs("request.refused").await["level"], "DEBUG");
    scene.status(&serving, "/one/heard").await;
    serving.signal("-INT").await;
    let (_, _, access) = serving.end().await;
    assert!(access.contains("/one/heard") && !access.contains("/one/silent"), "{access}");
}
