//! Every configuration under `deploy/` and in the documentation goes through `vestibule check`, with secrets as the
//! platform mounts them.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::kubernetes::{SETS, configuration, documents};
use super::{check, ended};
use crate::harness::peer_process::project;
use crate::harness::program::vestibule;

/// Where the configurations look for secrets, on each platform.
const MOUNTS: [&str; 3] = ["/run/secrets/vestibule", "/run/credentials/vestibule.service", "/run/secrets"];

/// A folder on a tmpfs, as both platforms mount secrets; elsewhere files that everybody may read are warned of.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").expect("Linux has a tmpfs at /dev/shm")
}

/// Fills `folder` as the kubelet fills a volume: files of a dated directory, 0644, behind two symbolic links.
fn as_a_volume(folder: &Path, files: &[(String, String)]) {
    let dated = "..2026_11_21_12_00_00.123456789";
    std::fs::create_dir(folder.join(dated)).unwrap();
    symlink(dated, folder.join("..data")).unwrap();
    for (name, content) in files {
        let file = folder.join(dated).join(name);
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        symlink(Path::new("..data").join(name), folder.join(name)).unwrap();
    }
}

async fn fresh_secrets() -> Vec<(String, String)> {
    let mut command = vestibule();
    command.arg("generate-key");
    let (_, key) = ended(command).await;
    assert!(key.ends_with('\n'), "with the final newline of a file");
    vec![("session-key".into(), key), ("client-secret".into(), "a secret of the provider's\n".into())]
}

/// `vestibule check` of `text`, with these secrets where it looks for them.
async fn checked(text: &str, secrets: &[(String, String)]) -> (i32, String) {
    let folder = folder();
    as_a_volume(folder.path(), secrets);
    let mut text = text.to_owned();
    for mount in MOUNTS {
        text = text.replace(&format!("\"{mount}/"), &format!("\"{}/", folder.path().display()));
    }
    let path = folder.path().join("vestibule.toml");
    std::fs::write(&path, text).unwrap();
    check(&path).await
}

/// What each ConfigMap and each file and page holds, with its name.
async fn configurations() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for set in SETS {
        found.push((set.into(), configuration(set).await));
    }
    let example = "deploy/systemd/three-tools.toml";
    found.push((example.into(), std::fs::read_to_string(project().join(example)).unwrap()));
    let page = "docs/deployment.md";
    let text = std::fs::read_to_string(project().join(page)).unwrap();
    let blocks = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    found.extend(blocks.filter(|block| block.contains("public_url =")).map(|block| (page.into(), block.to_owned())));
    found
}

#[tokio::test]
async fn cf_02_every_configuration_is_accepted_with_secrets_as_they_are_mounted() {
    let secrets = fresh_secrets().await;
    for (name, text) in configurations().await {
        let (code, said) = checked(&text, &secrets).await;
        assert_eq!(code, 0, "{}: {said}", name.display());
        assert!(said.contains(": no problems") && !said.contains("warning"), "{}: {said}", name.display());
        assert!(!said.contains("a secret of the provider's"));
    }
}

#[tokio::test]
async fn the_secret_as_it_is_in_the_repository_is_refused_and_everything_that_is_missing_is_named() {
    for set in SETS {
        let manifest = documents(&project().join(set).join("secret.yaml")).await.remove(0);
        let values = manifest["stringData"].as_object().unwrap();
        let values: Vec<_> =
            values.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        let (code, said) = checked(&configuration(set).await, &values).await;
        assert_eq!(code, 78, "{said}");
        for (name, _) in &values {
            assert!(said.contains(&format!("/{name}")), "{name} in {said}");
        }
        assert_eq!(said.matches("is empty").count(), values.len(), "{said}");
    }
}

#[tokio::test]
async fn the_three_tools_say_what_to_register() {
    let text = std::fs::read_to_string(project().join("deploy/systemd/three-tools.toml")).unwrap();
    let (_, said) = checked(&text, &fresh_secrets().await).await;
    let uris: Vec<_> = said.split_whitespace().filter(|word| word.starts_with("https://")).collect();
    assert_eq!(uris.len(), 8, "{said}");
    let comments: String = text.lines().filter(|line| line.starts_with('#')).collect();
    assert!(uris.iter().all(|uri| comments.contains(uri)), "{said}");
}
