//! The manifests, read as Kubernetes reads them, and held against its published schemas.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use super::{ended, python};
use crate::harness::peer_process::project;

/// The two ways to run it.
pub const SETS: [&str; 2] = ["deploy/kubernetes/sidecar", "deploy/kubernetes/gateway"];
/// Native sidecars are there by themselves since 1.29; the schemas of every version from then on.
const VERSIONS: [&str; 9] = ["1.29", "1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"];

const TO_JSON: &str = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";

/// The documents of a YAML file.
pub async fn documents(path: &Path) -> Vec<Value> {
    let mut command = Command::new(python("python3"));
    command.args(["-c", TO_JSON]).arg(path);
    let (code, said) = ended(command).await;
    assert_eq!(code, 0, "{}: {said}", path.display());
    serde_json::from_str(&said).unwrap()
}

/// The files of a set, without the kustomization.
pub fn files(set: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project().join(set)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| !path.ends_with("kustomization.yaml")).collect();
    files.sort();
    assert!(files.iter().all(|path| path.extension().is_some_and(|extension| extension == "yaml")), "{files:?}");
    files
}

/// All resources of a set.
pub async fn resources(set: &str) -> Vec<Value> {
    let mut resources = Vec::new();
    for file in files(set) {
        resources.extend(documents(&file).await);
    }
    resources
}

/// The gateway's configuration out of the ConfigMap of a set.
pub async fn configuration(set: &str) -> String {
    let map = documents(&project().join(set).join("configmap.yaml")).await.remove(0);
    map["data"]["vestibule.toml"].as_str().unwrap().to_owned()
}

async fn validated(version: &str, files: &[PathBuf]) -> (i32, String) {
    let mut command = Command::new(python("kubernetes-validate"));
    command.args(["--strict", "--kubernetes-version", version]).args(files);
    ended(command).await
}

#[tokio::test]
async fn every_manifest_holds_to_the_schemas_of_every_version() {
    let files: Vec<_> = SETS.into_iter().flat_map(files).collect();
    for version in VERSIONS {
        let (code, said) = validated(version, &files).await;
        assert_eq!(code, 0, "{said}");
        let passed = said.lines().filter(|line| line.contains("passed")).count();
        assert!(passed >= files.len() && !said.contains("ERROR") && !said.contains("WARN"), "{said}");
    }
}

#[tokio::test]
async fn the_schemas_see_a_wrong_name_and_a_wrong_value() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(project().join(SETS[0]).join("deployment.yaml")).unwrap();
    for (right, wrong) in [("readOnlyRootFilesystem", "readOnlyRootFileSystem"), ("replicas: 1", "replicas: one")] {
        let path = folder.path().join("deployment.yaml");
        std::fs::write(&path, good.replace(right, wrong)).unwrap();
        let (code, said) = validated(VERSIONS[0], &[path]).await;
        assert_ne!(code, 0, "{wrong}: {said}");
    }
}
