use super::*;
use crate::config::ALL_KEYS;
use crate::config::registration::registrations;

const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");
const MINIMAL: &str = include_str!("../../../config/minimal.toml");
const FULL: &str = include_str!("../../../config/full.toml");
const EXAMPLES: &[(&str, &str)] = &[
    ("minimal", MINIMAL),
    ("full", FULL),
    ("keycloak", include_str!("../../../config/keycloak.toml")),
    ("entra-id", include_str!("../../../config/entra-id.toml")),
    ("google", include_str!("../../../config/google.toml")),
    ("okta", include_str!("../../../config/okta.toml")),
    ("github", include_str!("../../../config/github.toml")),
];

fn example(text: &str) -> Loaded {
    let fake = Fake::default().with("/run/secrets/client-secret", "hunter2\n");
    read_with(text, &fake).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_example_file_loads_without_a_warning() {
    for (name, text) in EXAMPLES {
        assert!(example(text).warnings.is_empty(), "{name}");
    }
}

#[test]
fn no_example_file_is_forgotten() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(EXAMPLES.iter().any(|(known, _)| *known == name), "{name}");
    }
}

#[test]
fn every_example_file_says_what_to_register() {
    for (name, text) in EXAMPLES {
        let comments: String = text.lines().filter(|line| line.starts_with('#')).collect();
        for registration in registrations(&example(text).settings) {
            for uri in registration.redirect_uris {
                assert!(comments.contains(&uri) || *name == "full", "{name}: {uri}");
            }
        }
    }
}

#[test]
fn the_full_file_states_the_defaults() {
    let (full, minimal) = (example(FULL).settings, example(MINIMAL).settings);
    assert_eq!(format!("{full:#?}"), format!("{minimal:#?}"));
}

#[test]
fn the_full_file_and_the_documentation_name_every_key() {
    for keys in ALL_KEYS {
        for key in keys.built {
            let words =
                |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == *key);
            // The ways to name a secret and several providers are alternatives to what stands there.
            let alternative = matches!(*key, "env" | "providers");
            assert!(words(FULL) || alternative, "config/full.toml: {} {key}", keys.table);
            assert!(DOCUMENTATION.contains(&format!("`{key}`")), "docs/configuration.md: {} {key}", keys.table);
        }
    }
}

/// Every page for people, with its name.
fn pages() -> Vec<(String, String)> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = std::fs::read_dir(project.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = documents.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let pages = pages.chain(["README.md", "SECURITY.md", "deploy/kubernetes/README.md"].map(|name| project.join(name)));
    pages.map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap())).collect()
}

/// What is a part of a file, in the smallest whole one.
fn completed(part: &str) -> String {
    let (head, upstream) = MINIMAL_OF_DOCUMENTATION.split_at(MINIMAL_OF_DOCUMENTATION.find("[[upstream]]").unwrap());
    match part {
        _ if part.starts_with("public_url =") => part.to_owned(),
        _ if part.starts_with("[[upstream]]") => format!("{head}{part}"),
        _ => format!("{head}{upstream}{part}"),
    }
}

#[test]
fn every_configuration_in_the_documentation_loads_and_parts_of_one_where_they_belong() {
    let mut seen = [0, 0];
    for (name, page) in pages() {
        for block in page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            let fake = Fake::default()
                .with_identity("/etc/vestibule/wiki")
                .with_identity("/etc/vestibule/tools")
                .with("/run/secrets/client-secret", "hunter2\n")
                .with("/run/secrets/vestibule/redis-password", "hunter2\n")
                .with("/run/secrets/vestibule/session-key", "AgkQFx4lLDM6QUhPVl1ka3J5gIeOlZyjqrG4v8bN1Ns\n");
            read_with(&completed(block), &fake).unwrap_or_else(|error| panic!("{name}\n{block}{error}"));
            seen[usize::from(block.starts_with("public_url ="))] += 1;
        }
    }
    assert!(seen[0] >= 5 && seen[1] >= 3, "{seen:?}");
}

#[test]
fn the_problem_in_the_documentation_is_shown_as_it_is() {
    let wrong = MINIMAL_OF_DOCUMENTATION.replace("client_secret =", "client_secrt =");
    let error = read(&wrong).unwrap_err();
    let shown = error.problems().iter().find(|problem| problem.message.contains("client_secrt")).unwrap().to_string();
    assert!(DOCUMENTATION.contains(&shown), "{shown}");
}

const MINIMAL_OF_DOCUMENTATION: &str = r#"public_url = "https://wiki.example.com"

[provider]
issuer        = "https://id.example.com/realms/corp"
client_id     = "wiki"
client_secret = { file = "/run/secrets/client-secret" }

[[upstream]]
target = "http://127.0.0.1:3000"
"#;
