//! The commands, with what they run replaced.

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

/// Notes what was run.
#[derive(Default)]
struct Noted(RefCell<Vec<&'static str>>);

impl Programs for Noted {
    fn serve(&self, loaded: Loaded, _: &mut Output<'_>) -> Exit {
        assert_eq!(loaded.settings.routes.len(), 1);
        self.0.borrow_mut().push("serve");
        Exit::Unavailable
    }

    fn check_online(&self, _: Loaded, output: &mut Output<'_>) -> Exit {
        output.line("online");
        self.0.borrow_mut().push("check_online");
        Exit::Unavailable
    }

    fn demo(&self, _: Option<u16>, _: &mut Output<'_>) -> Exit {
        self.0.borrow_mut().push("demo");
        Exit::Fine
    }
}

struct Ran {
    exit: Exit,
    out: String,
    error: String,
    programs: Vec<&'static str>,
}

fn vestibule(arguments: &[&str]) -> Ran {
    let (mut out, mut error) = (Vec::new(), Vec::new());
    let programs = Noted::default();
    let arguments = ["vestibule"].iter().chain(arguments);
    let exit = run(arguments, &programs, &mut Output::new(&mut out, &mut error));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { exit, out: text(out), error: text(error), programs: programs.0.take() }
}

fn configured(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| -> PathBuf {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    write("secret", "hunter2");
    let path = write("vestibule.toml", text).display().to_string();
    (directory, path)
}

const GOOD: &str = r#"
public_url = "https://wiki.example.com"
[provider]
issuer = "https://id.example.com"
client_id = "wiki"
client_secret = { file = "secret" }
[[upstream]]
target = "http://127.0.0.1:3000"
"#;

#[test]
fn serve_is_the_default_command() {
    let (_directory, path) = configured(GOOD);
    for arguments in [vec!["--config", &path], vec!["serve", "--config", &path], vec!["--config", &path, "serve"]] {
        let ran = vestibule(&arguments);
        assert_eq!((ran.exit, ran.programs.as_slice()), (Exit::Unavailable, ["serve"].as_slice()), "{}", ran.error);
    }
}

#[test]
fn with_neither_file_nor_argument_the_demo_is_named() {
    // The tests run in the directory of the crate, where there is no vestibule.toml.
    let ran = vestibule(&[]);
    assert_eq!(ran.exit, Exit::Configuration);
    assert!(ran.error.contains("There is no vestibule.toml") && ran.error.contains("vestibule demo"), "{}", ran.error);
    assert!(ran.programs.is_empty());
}

#[test]
fn check_shows_every_problem_and_runs_nothing() {
    let (_directory, path) =
        configured(&GOOD.replace("client_id", "client_di").replace("[[upstream]]", "[[upstreem]]"));
    for arguments in [["check", "--config", &path], ["serve", "--config", &path]] {
        let ran = vestibule(&arguments);
        assert_eq!(ran.exit, Exit::Configuration);
        assert!(ran.programs.is_empty() && ran.out.is_empty());
        for part in ["did you mean `client_id`?", "did you mean `upstream`?", "vestibule.toml:5:1", "problems"] {
            assert!(ran.error.contains(part), "{part}: {}", ran.error);
        }
    }
}

#[test]
fn check_says_what_to_register() {
    let (_directory, path) = configured(GOOD);
    let ran = vestibule(&["check", "--config", &path]);
    assert_eq!((ran.exit, ran.error.as_str()), (Exit::Fine, ""));
    for part in [
        "no problems",
        "Register at provider default, for client wiki:",
        "redirect URI:             https://wiki.example.com/oauth2/callback\n",
        "post-logout redirect URI: https://wiki.example.com/oauth2/signed_out\n",
        "back-channel logout URI:  https://wiki.example.com/oauth2/backchannel-logout\n",
        "front-channel logout URI: https://wiki.example.com/oauth2/frontchannel-logout\n",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let ran = vestibule(&["check", "--online", "--config", &path]);
    assert_eq!((ran.exit, ran.programs.as_slice()), (Exit::Unavailable, ["check_online"].as_slice()));
    assert!(ran.out.ends_with("online\n"));
}

#[test]
fn check_shows_warnings_and_is_fine() {
    let (_directory, path) =
        configured(&(GOOD.to_owned() + "[[upstream]]\npath = \"/b\"\ntarget = \"http://127.0.0.1:3001\""));
    let ran = vestibule(&["check", "--config", &path]);
    assert_eq!(ran.exit, Exit::Fine);
    assert!(ran.error.contains("warning: several upstreams get the same access token"), "{}", ran.error);
}

#[test]
fn generated_keys_are_accepted_and_differ() {
    let (first, second) = (vestibule(&["generate-key"]), vestibule(&["generate-key"]));
    assert_eq!((first.exit, first.out.len()), (Exit::Fine, 44));
    assert_ne!(first.out, second.out);
    let (directory, path) =
        configured(&GOOD.replace("[provider]", "[session]\nkeys = [{ id = \"a\", file = \"key\" }]\n[provider]"));
    let key = directory.path().join("key");
    std::fs::write(&key, &first.out).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let ran = vestibule(&["check", "--config", &path]);
    assert_eq!(ran.exit, Exit::Fine, "{}", ran.error);
}

#[test]
fn no_randomness_is_no_key() {
    struct Dry;
    impl crate::entropy::Entropy for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), crate::entropy::NoEntropy> {
            Err(crate::entropy::NoEntropy)
        }
    }
    let (mut out, mut error) = (Vec::new(), Vec::new());
    let exit = generate_key::generate_key(&Dry, &mut Output::new(&mut out, &mut error));
    assert_eq!((exit, out.is_empty()), (Exit::Internal, true));
}

#[test]
fn arguments_that_are_not_understood_end_with_64() {
    for arguments in [vec!["--confg", "x"], vec!["srve"], vec!["check", "--config"]] {
        assert_eq!(vestibule(&arguments).exit, Exit::Usage, "{arguments:?}");
    }
    let help = vestibule(&["--help"]);
    assert!(help.exit == Exit::Fine && help.out.contains("generate-key"));
    assert!(vestibule(&["--version"]).out.starts_with("vestibule "));
    assert_eq!(vestibule(&["demo"]).programs, ["demo"]);
}

#[test]
fn exit_codes_are_those_of_sysexits() {
    let codes = [Exit::Fine, Exit::Usage, Exit::Unavailable, Exit::Internal, Exit::Configuration].map(Exit::code);
    assert_eq!(codes, [0, 64, 69, 70, 78]);
}
