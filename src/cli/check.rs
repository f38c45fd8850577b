//! `vestibule check`.

use crate::config::{Registration, registrations};

use super::{Exit, FileArgument, Output, Programs};

pub(super) fn check(file: &FileArgument, online: bool, programs: &dyn Programs, output: &mut Output<'_>) -> Exit {
    let loaded = match file.load(output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    for warning in &loaded.warnings {
        output.error_line(format_args!("{warning}\n"));
    }
    output.line(format_args!("{}: no problems", file.path().display()));
    for registration in registrations(&loaded.settings) {
        show(&registration, output);
    }
    if online { programs.check_online(loaded, output) } else { Exit::Fine }
}

fn show(registration: &Registration, output: &mut Output<'_>) {
    let Registration { provider, client_id, redirect_uris, post_logout_redirect_uris, .. } = registration;
    output.line(format_args!("\nRegister at provider {provider}, for client {client_id}:"));
    for (kind, uris) in [
        ("redirect URI", redirect_uris),
        ("post-logout redirect URI", post_logout_redirect_uris),
        ("back-channel logout URI", &registration.back_channel_logout_uris),
        ("front-channel logout URI", &registration.front_channel_logout_uris),
    ] {
        for uri in uris {
            output.line(format_args!("  {:<26}{uri}", format!("{kind}:")));
        }
    }
}
