//! What `vestibule demo` prints: where to go and who can log in.

use std::fmt::Write;
use std::net::SocketAddr;

use super::provider::Account;

/// The text to print once everything listens.
///
/// `gateway` is the address of the gateway's listener and `public_url` how a browser reaches it; the browser needs the
/// provider's port as well, so both are in the line for remote shells. `host` is the name of this machine, if known.
#[must_use]
pub fn banner(
    public_url: &str,
    gateway: SocketAddr,
    provider: SocketAddr,
    sample_upstream: SocketAddr,
    accounts: &[Account],
    host: Option<&str>,
) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "The demonstration is ready. Everything runs on this machine, and nothing of it is meant for real use.\n\n  \
         Open      {public_url}\n  \
         Provider  http://{provider}  (the login form comes from here)\n  \
         Upstream  http://{sample_upstream}  (what the gateway protects; opened directly it sees no identity)\n\n\
         Who can log in (one click, or the user name and the password):\n"
    );
    let width = accounts.iter().map(|account| account.username.len()).max().unwrap_or_default();
    for account in accounts {
        let groups = account.groups.join(", ");
        let verified = if account.email_verified { "" } else { ", e-mail address not verified" };
        let _ =
            writeln!(text, "  {:width$}  password {}  groups {groups}{verified}", account.username, account.password);
    }
    let host = host.unwrap_or("THIS-MACHINE");
    let _ = write!(
        text,
        "\nIs this a remote shell? Run this where your browser is, then open the address above:\n  \
         ssh -L {0}:{gateway} -L {1}:{provider} {host}\n\nStop with Ctrl-C.\n",
        gateway.port(),
        provider.port(),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::provider::DevelopmentProviderSettings;

    #[test]
    fn it_names_the_addresses_the_accounts_and_the_way_from_a_remote_shell() {
        let settings = DevelopmentProviderSettings::new("http://127.0.0.1:9000");
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = banner(
            "http://localhost:8080",
            address(8080),
            address(9000),
            address(3000),
            &settings.accounts,
            Some("build.example"),
        );
        assert!(text.contains("Open      http://localhost:8080\n"), "{text}");
        assert!(text.contains("  ssh -L 8080:127.0.0.1:8080 -L 9000:127.0.0.1:9000 build.example\n"), "{text}");
        for account in &settings.accounts {
            assert!(text.contains(&account.username), "{text}");
        }
        assert!(text.contains("guests, e-mail address not verified"), "{text}");
    }
}
