//! The image's recipe.

use tokio::process::Command;

use super::{ended, python};
use crate::harness::peer_process::project;

#[tokio::test]
async fn the_dockerfile_has_nothing_to_complain_about() {
    let mut command = Command::new(python("hadolint"));
    command.args(["--no-color", "--failure-threshold", "style", "Dockerfile"]);
    assert_eq!(ended(command).await, (0, String::new()));
}

#[test]
fn the_image_is_the_binary_alone_and_runs_as_nobody() {
    let dockerfile = std::fs::read_to_string(project().join("Dockerfile")).unwrap();
    let (build, image) = dockerfile.split_once("\nFROM scratch\n").unwrap();
    assert!(build.contains("target-feature=+crt-static") && build.contains("--locked"), "{build}");
    // Without it a static binary wants /dev/urandom.
    assert!(build.contains(r#"--cfg getrandom_backend=\"linux_getrandom\""#), "{build}");
    let has = |line: &str| assert!(image.lines().any(|there| there == line), "{line} in {image}");
    has("USER 65532:65532");
    has("ENTRYPOINT [\"/vestibule\"]");
    has("CMD [\"serve\", \"--config\", \"/etc/vestibule/vestibule.toml\"]");
    assert_eq!(image.lines().filter(|line| line.starts_with("COPY ") || line.starts_with("ADD ")).count(), 1);
}

#[test]
fn the_image_is_built_with_the_toolchain_of_the_project() {
    let read = |name: &str| std::fs::read_to_string(project().join(name)).unwrap();
    let toolchain: toml::Table = toml::from_str(&read("rust-toolchain.toml")).unwrap();
    let version = toolchain["toolchain"]["channel"].as_str().unwrap();
    assert!(read("Dockerfile").contains(&format!("/rust:{version}-bookworm\n")), "{version}");
}

#[test]
fn no_file_goes_to_the_builder_that_is_not_named() {
    let ignored = std::fs::read_to_string(project().join(".dockerignore")).unwrap();
    let rules: Vec<_> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(rules, ["*", "!Cargo.toml", "!Cargo.lock", "!askama.toml", "!src"]);
}
