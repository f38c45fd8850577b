use proptest::prelude::*;

use super::*;
use crate::config::{ALL_KEYS, Position};

#[test]
fn cf_01_all_problems_come_at_once_with_their_places() {
    let text = "public_url = 5\n\n[listen]\nadress = \"0.0.0.0:80\"\nstartup_grace = \"300x\"\n\n[session]\nlifetime = \"0s\"\n\n\
                [provider]\nissuer = \"https://id.example.com\"\n\n[[upstream]]\nname = \"wiki\"\n";
    let error = read(text).unwrap_err();
    let found: Vec<_> =
        error.problems().iter().map(|problem| (problem.key.as_str(), problem.position.unwrap())).collect();
    let at = |line, column| Position { line, column };
    assert_eq!(
        found,
        [
            ("public_url", at(1, 14)),
            ("listen.adress", at(4, 1)),
            ("listen.startup_grace", at(5, 17)),
            ("session.lifetime", at(8, 12)),
            ("provider.client_id", at(10, 1)),
            ("provider.client_secret", at(10, 1)),
            ("upstream[0].target", at(13, 1)),
        ]
    );
    let shown = error.to_string();
    for part in ["vestibule.toml:4:1", "4 | adress = ", "^^^^^^ listen.adress", "did you mean `address`?", "7 problems"]
    {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[test]
fn cf_01_duplicate_keys_and_broken_syntax() {
    let twice = bad(&file("", "client_id = \"other\"", ""));
    assert!(twice.contains("this is not TOML: duplicate key"), "{twice}");
    let broken = bad(&file("", "clock_leeway = = \"5s\"", "anonymus = \"login\""));
    assert!(
        broken.contains("this is not TOML") && broken.contains("there is no key `upstream[0].anonymus`"),
        "{broken}"
    );
    let unclosed = bad("public_url = \"https://a.example\n[provider]\n");
    assert!(unclosed.contains("this is not TOML") && !unclosed.contains("missing"), "{unclosed}");
}

#[test]
fn cf_01_wrong_types() {
    for (text, why) in [
        (file("listen = 5", "", ""), "`listen` is an integer, but must be a table"),
        (file("", "scopes = \"openid\"", ""), "`provider.scopes` is a string, but must be a list"),
        (file("", "client_authentication = true", ""), "is a boolean, but must be a string"),
        (file("", "", "pass_host = \"yes\""), "`upstream[0].pass_host` is a string, but must be a boolean"),
        (file("[listen.limits]\nheaders = \"100\"", "", ""), "must be an integer"),
        (file("[listen.limits]\nheader_bytes = 100", "", ""), "must be a size with its unit"),
        (file("[session]\nlifetime = 10", "", ""), "must be a duration with its unit"),
        (file("[session]\nlifetime = 10:00:00", "", ""), "is a date, but must be a duration"),
        (file("", "claims = []", ""), "is a list, but must be a table"),
    ] {
        refused(&text, why);
    }
    refused(&file("", "", "").replace("[[upstream]]", "[upstream]"), "`upstream` is a table, but must be a list");
    refused(
        "public_url = \"https://a.example\"\nupstream = []\n[provider]\nissuer = \"https://b.example\"\nclient_id = \"a\"\nclient_authentication = \"none\"\n",
        "there is no upstream",
    );
}

#[test]
fn underscores_group_digits() {
    let loaded = good(&file("[session]\nmax_sessions = 1_000", "", ""));
    let crate::session::settings::StoreSettings::Memory { max_sessions } = loaded.settings.session.store else {
        panic!("another store")
    };
    assert_eq!(max_sessions, 1_000);
}

#[test]
fn cf_12_what_is_planned_is_refused_and_never_ignored() {
    for keys in ALL_KEYS {
        for key in keys.unbuilt {
            let (top, provider, upstream) = match keys.table {
                "upstream" => (String::new(), String::new(), format!("{key} = \"x\"")),
                "upstream.tls" => (String::new(), String::new(), format!("tls = {{ {key} = \"x\" }}")),
                "provider" => (String::new(), format!("{key} = \"x\""), String::new()),
                table => (format!("[{table}]\n{key} = \"x\""), String::new(), String::new()),
            };
            let text = file(&top, &provider, &upstream).replace("http://127", "https://127");
            let messages = bad(&text);
            assert!(messages.contains("is not built yet"), "{} {key}: {messages}", keys.table);
        }
    }
    for (top, provider, upstream) in [
        ("", "client_authentication = \"private_key_jwt\"", ""),
        ("", "client_authentication = \"tls_client_auth\"", ""),
        ("", "pushed_authorization = \"auto\"", ""),
        ("", "dpop = \"auto\"", ""),
    ] {
        refused(&file(top, provider, upstream), "is not built yet");
    }
}

#[test]
fn what_is_in_force_may_be_said() {
    good(&file(
        "[session]\nstore = \"memory\"\n[log]\naudit = \"log\"",
        "pushed_authorization = \"off\"\ndpop = \"off\"",
        "",
    ));
}

#[test]
fn a_store_with_a_password_in_its_url_is_not_repeated() {
    let error = read(&file("[session]\nstore = \"redis://:open-sesame@redis\"", "", "")).unwrap_err();
    assert!(!error.to_string().contains("open-sesame"), "{error}");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(at in 0usize..4000, cut in 0usize..60, put in "[\\[\\]{}=\"'#\\\\\\n\\ra-é._, 0-9]{0,12}") {
        let full = include_str!("../../../config/full.toml");
        let kept = |range: &dyn Fn(usize) -> bool| full.chars().enumerate().filter(|(n, _)| range(*n)).map(|(_, c)| c).collect::<String>();
        let text = kept(&|n| n < at) + &put + &kept(&|n| n >= at + cut);
        if let Err(error) = read(&text) {
            prop_assert!(!error.problems().is_empty());
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
