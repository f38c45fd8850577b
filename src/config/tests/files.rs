use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::config::{SystemEnvironment, load};

/// A real directory with a real configuration and a real secret.
fn directory(mode: u32, secret: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    };
    write("vestibule.toml", &file("", "", ""), 0o644);
    write("secret", secret, mode);
    directory
}

fn load_from(directory: &tempfile::TempDir) -> Result<Loaded, ConfigError> {
    load(&directory.path().join("vestibule.toml"), &SystemEnvironment, &Counting)
}

#[test]
fn a_file_loads_with_paths_from_its_own_directory() {
    assert!(load_from(&directory(0o600, "hunter2")).is_ok());
}

#[test]
fn cf_02_a_secret_that_others_may_write_is_refused() {
    for mode in [0o620, 0o602, 0o666] {
        let error = load_from(&directory(mode, "hunter2")).unwrap_err();
        assert!(error.to_string().contains("others than its owner may write"), "{mode:o}: {error}");
    }
}

#[test]
fn cf_02_a_symbolic_link_as_kubernetes_makes_it_is_fine() {
    let directory = directory(0o600, "hunter2");
    let (secret, data) = (directory.path().join("secret"), directory.path().join("..data"));
    fs::rename(&secret, &data).unwrap();
    std::os::unix::fs::symlink(&data, &secret).unwrap();
    assert!(load_from(&directory).is_ok());
}

#[test]
fn cf_02_a_secret_that_everybody_may_read_is_a_warning_but_not_on_private_mounts() {
    let mut fake = Fake::default();
    fake.put("/etc/vestibule/secret", b"hunter2", 0o644, false);
    let loaded = read_with(&file("", "", ""), &fake).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    let shown = loaded.warnings[0].to_string();
    assert!(shown.starts_with("warning:") && shown.contains("chmod o-r /etc/vestibule/secret"), "{shown}");
    fake.put("/etc/vestibule/secret", b"hunter2", 0o644, true);
    assert!(read_with(&file("", "", ""), &fake).unwrap().warnings.is_empty());
    fake.put("/etc/vestibule/secret", b"hunter2", 0o640, false);
    assert!(read_with(&file("", "", ""), &fake).unwrap().warnings.is_empty());
}

#[test]
fn cf_02_one_line_end_is_not_part_of_the_secret_and_an_empty_rest_is_refused() {
    for good in ["hunter2", "hunter2\n", "hunter2\r\n"] {
        let fake = Fake::default().with("/etc/vestibule/secret", good);
        let loaded = read_with(&file("", "", ""), &fake).unwrap();
        let crate::provider::settings::ClientAuthentication::SecretBasic(secret) =
            &loaded.settings.providers[0].client_authentication
        else {
            panic!("not basic")
        };
        assert_eq!(secret.len(), 7, "{good:?}");
    }
    for (bad, why) in [("", "is empty"), ("\n", "is empty"), ("\r\n", "is empty"), ("a\n\n", "holds line ends")] {
        let fake = Fake::default().with("/etc/vestibule/secret", bad);
        let error = read_with(&file("", "", ""), &fake).unwrap_err().to_string();
        assert!(error.contains(why), "{bad:?}: {error}");
    }
}

#[test]
fn cf_03_a_file_that_cannot_be_read_is_never_nothing() {
    refused(&file("", "", "").replace("\"secret\"", "\"/run/nowhere\""), "/run/nowhere does not exist");
    let directory = directory(0o600, "hunter2");
    fs::remove_file(directory.path().join("secret")).unwrap();
    fs::create_dir(directory.path().join("secret")).unwrap();
    assert!(load_from(&directory).unwrap_err().to_string().contains("is a directory"));
    let mut fake = Fake::default();
    fake.put("/etc/vestibule/secret", b"\xff\xfe", 0o600, false);
    assert!(read_with(&file("", "", ""), &fake).unwrap_err().to_string().contains("is not text"));
}

#[test]
fn cf_02_an_environment_variable_is_a_warning_and_both_are_refused() {
    let text = file("", "", "");
    let mut fake = fake();
    let by_env = text.replace("{ file = \"secret\" }", "{ env = \"SECRET\" }");
    assert!(read_with(&by_env, &fake).unwrap_err().to_string().contains("no such environment variable"));
    fake.variables.insert("SECRET".into(), "hunter2".into());
    assert_eq!(read_with(&by_env, &fake).unwrap().warnings.len(), 1);
    refused(&text.replace("{ file = \"secret\" }", "{ file = \"secret\", env = \"SECRET\" }"), "both a file and");
    refused(&text.replace("{ file = \"secret\" }", "{ }"), "names no file");
    assert!(bad(&text.replace("{ file = \"secret\" }", "{ fil = \"secret\" }")).contains("there is no key"));
}

#[test]
fn cf_02_an_inline_secret_is_refused_and_not_repeated() {
    for line in [
        "client_secret = \"open-sesame\"",
        "client_secret = '''open-sesame'''",
        "client_secrt = \"open-sesame\"",
        "client_secret = { vlaue = \"open-sesame\" }",
        "client_secret = { file = \"secret\", inline = \"open-sesame\" }",
        "client_secret = \"open-sesame",
        "client_secret = \"open-sesame\" x",
        "client_secret = open-sesame",
        "client_secret = \"a\"\nclient_secret = \"open-sesame\"",
        "client_secret = [\"open-sesame\"]",
        "client_secret = \"\"\"\nopen-sesame==\n\\x\"\"\"",
        "client_secret = \"\"\"\nopen-sesame==\\x\n\"\"\"",
        "claims = { client_secret = \"open-sesame\" ]",
        "client_secret = { env = \"open-sesame\" }",
        "client_secret = { file = \"open-sesame\" }",
        "client_secret = { file = \"open-sesame/==\" }",
        "client_secret = { file = \"open-sesame\", env = \"open-sesame\" }",
        "client_secret.open-sesame = 1",
        "client_secret.file.open-sesame = 1",
        "client_secret.x.open-sesame = 1",
        "client_secret = { open-sesame = { open-sesame = \"open-sesame\" } }",
        "client_secret = { env = { open-sesame = 1 } }",
        "client_secret = { file = [\"open-sesame\"] }",
        "[provider.client_secret.open-sesame]",
        "[provider.client_secret]\nopen-sesame = 1",
        "[provider.client_secret]\nfile = open-sesame",
        "[[session.keys]]\nopen-sesame = 1",
        "[[session.keys]]\nenv = \"open-sesame\"",
        "[session]\nkeys = [{ file = \"open-sesame\" }]",
        "[session]\nstore = \"postgres://:open-sesame/\"",
        "[session]\nstore = \"open-sesame\"",
        "[session]\nstore = redis://open-sesame",
        "[session]\nstore = { url = \"open-sesame\" }",
    ] {
        let text = file("", "", "").replace("client_secret = { file = \"secret\" }", line);
        let error = read(&text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("open-sesame"), "{line}\n{shown}");
    }
}

#[test]
fn cf_02_ordinary_names_are_still_shown() {
    for (line, shown) in [
        ("client_secret = { env = \"CLIENT_SECRET_2\" }", "CLIENT_SECRET_2"),
        ("client_secret = { file = \"./absent\" }", "./absent"),
        ("client_secret = { file = \"/run/secrets/absent\" }", "/run/secrets/absent does not exist"),
    ] {
        let text = file("", "", "").replace("client_secret = { file = \"secret\" }", line);
        let error = format!("{:?}", read(&text).unwrap_err());
        assert!(error.contains(shown), "{line}\n{error}");
    }
}

#[test]
fn di_10_a_ca_file_must_hold_certificates() {
    let pem = rcgen::generate_simple_self_signed(["id.example.com".to_owned()]).unwrap().cert.pem();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let fake = fake()
        .with("/etc/vestibule/ca.pem", &format!("{pem}{pem}"))
        .with("/etc/vestibule/empty.pem", "")
        .with("/etc/vestibule/text.pem", "hello\n")
        .with("/etc/vestibule/broken.pem", broken);
    let with = |name: &str| read_with(&file("", &format!("ca_file = \"{name}\""), ""), &fake);
    assert_eq!(with("ca.pem").unwrap().settings.providers[0].ca_certificates.len(), 2);
    for (name, why) in [
        ("missing.pem", "does not exist"),
        ("empty.pem", "holds no certificate"),
        ("text.pem", "holds no certificate"),
        ("broken.pem", "no certificate of an authority"),
    ] {
        let error = with(name).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_says_so() {
    let error = load(Path::new("/nowhere/vestibule.toml"), &SystemEnvironment, &Counting).unwrap_err();
    assert!(error.to_string().contains("there is no such file"), "{error}");
    assert_eq!(error.problems()[0].position, None);
}
