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

#[test]
fn every_toml_file_in_the_documentation_loads() {
    let blocks = DOCUMENTATION.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let whole: Vec<_> = blocks.filter(|block| block.contains("public_url =")).collect();
    assert!(!whole.is_empty());
    for block in whole {
        example(block);
    }
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
