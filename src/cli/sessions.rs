//! `vestibule sessions`: who has a live grant, and the end of one, of all of a person, or of all.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Exit, Output};
use crate::config::{SystemEnvironment, token_file};

mod client;
mod table;

use client::{AdminAddress, AdminClient, AdminError};

#[derive(Debug, Args)]
pub(super) struct SessionsArguments {
    #[command(subcommand)]
    command: SessionsCommand,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// Show the live sessions, newest first.
    List {
        /// Only those of this subject.
        #[arg(long)]
        subject: Option<String>,
        /// Only those of this issuer; for plain OAuth 2.0 the provider's name.
        #[arg(long)]
        issuer: Option<String>,
        /// Only those for this host.
        #[arg(long)]
        host: Option<String>,
        /// Only those of this user name.
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Show one session.
    Show {
        /// Its name, as `list` shows it.
        id: String,
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// End sessions, on every replica. What is gone already is no error.
    #[command(group(ArgGroup::new("which").required(true).args(["id", "subject", "all"])))]
    Revoke {
        /// The name of one, as `list` shows it.
        id: Option<String>,
        /// All of this subject, and its logins that are under way.
        #[arg(long)]
        subject: Option<String>,
        /// Whose subject that is; needed when the gateway has several issuers.
        #[arg(long, requires = "subject", conflicts_with_all = ["id", "all"])]
        issuer: Option<String>,
        /// Every session there is.
        #[arg(long, requires = "yes")]
        all: bool,
        /// Says that --all is meant.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        admin: AdminArguments,
    },
}

#[derive(Debug, Args)]
struct AdminArguments {
    /// The gateway's `listen.admin_address`: unix:/PATH or HOST:PORT.
    #[arg(long = "admin", value_name = "ADDRESS")]
    address: AdminAddress,
    /// The file with the admin token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Write JSON, for programs.
    #[arg(long)]
    json: bool,
}

pub(super) fn sessions(arguments: &SessionsArguments, output: &mut Output<'_>) -> Exit {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        output.error_line("vestibule: the operating system refused to start");
        return Exit::Internal;
    };
    match runtime.block_on(run(&arguments.command, output)) {
        Ok(()) => Exit::Fine,
        Err(failed) => {
            output.error_line(format_args!("vestibule: {}", failed.message));
            failed.exit
        }
    }
}

/// What the person at the terminal is told, and how the program ends.
struct Failed {
    message: String,
    exit: Exit,
}

async fn run(command: &SessionsCommand, output: &mut Output<'_>) -> Result<(), Failed> {
    match command {
        SessionsCommand::List { subject, issuer, host, user, admin } => {
            let filters = [("subject", subject), ("issuer", issuer), ("host", host), ("user", user)];
            let listed = list(&client(admin)?, &filters).await.map_err(|error| admin.explain(&error))?;
            if admin.json {
                output.line(json!({ "sessions": listed }));
            } else {
                table::list(&listed, output);
            }
        }
        SessionsCommand::Show { id, admin } => {
            let path = path_of(id)?;
            let found = client(admin)?.ask(Method::GET, &path, None).await.map_err(|error| admin.explain(&error))?;
            if admin.json {
                output.line(found);
            } else {
                table::one(&found, output);
            }
        }
        SessionsCommand::Revoke { id, subject, issuer, admin, .. } => {
            let asked = match (id, subject) {
                (Some(id), _) => path_of(id).map(|_| json!({ "id": id }))?,
                (None, Some(subject)) => match issuer {
                    Some(issuer) => json!({ "subject": subject, "issuer": issuer }),
                    None => json!({ "subject": subject }),
                },
                (None, None) => json!({ "all": true }),
            };
            let ended = client(admin)?.ask(Method::POST, "/sessions/revoke", Some(&asked)).await;
            let ended = ended.map_err(|error| admin.explain(&error))?;
            if admin.json {
                output.line(ended);
            } else {
                output.line(told(&ended));
            }
        }
    }
    Ok(())
}

fn client(admin: &AdminArguments) -> Result<AdminClient<'_>, Failed> {
    let token = admin.token_file.as_deref().map(|path| token_file(path, &SystemEnvironment)).transpose();
    let token = token.map_err(|error| Failed { message: format!("--token-file: {error}"), exit: Exit::Unavailable })?;
    Ok(AdminClient::new(&admin.address, token))
}

/// Every part of the list, one after the other.
async fn list(client: &AdminClient<'_>, filters: &[(&str, &Option<String>)]) -> Result<Vec<Value>, AdminError> {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", "1000");
        query.extend_pairs(filters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
        query.extend_pairs(after.as_ref().map(|after| ("after", after)));
        let mut part = client.ask(Method::GET, &format!("/sessions?{}", query.finish()), None).await?;
        let Some(Value::Array(sessions)) = part.get_mut("sessions").map(Value::take) else {
            return Err(AdminError::NotAdmin);
        };
        let some = !sessions.is_empty();
        listed.extend(sessions);
        after = part.get("next").and_then(Value::as_str).map(ToOwned::to_owned).filter(|_| some);
        if after.is_none() {
            return Ok(listed);
        }
    }
}

/// A name goes into a path only as what it must be.
fn path_of(id: &str) -> Result<String, Failed> {
    if id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(format!("/sessions/{id}"));
    }
    let message = "the name of a session is 64 hexadecimal digits, as `vestibule sessions list` shows it".to_owned();
    Err(Failed { message, exit: Exit::Usage })
}

fn told(ended: &Value) -> String {
    let count = |name: &str| ended.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (ended, revoking) = (count("ended"), count("tokens_being_revoked"));
    let sessions = if ended == 1 { "session has" } else { "sessions have" };
    let mut told = format!("{ended} {sessions} ended.");
    if ended > 0 {
        told.push_str(&format!(" The tokens of {revoking} are being revoked at the provider"));
        told.push_str(if revoking < ended { "; of the others the gateway has no copy any more." } else { "." });
    }
    told
}

impl AdminArguments {
    /// What has gone wrong, and what to look at.
    fn explain(&self, error: &AdminError) -> Failed {
        let (address, mut exit) = (&self.address, Exit::Unavailable);
        let message = match error {
            AdminError::Connect(source) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                format!("cannot connect to {address}: only the user that the gateway runs as may use this socket")
            }
            AdminError::Connect(source) => format!(
                "cannot connect to {address}: {source}. Is the gateway running, and is this its listen.admin_address?"
            ),
            AdminError::Silent => format!("{address} does not answer in time"),
            AdminError::NotAdmin => format!("what listens at {address} is not the admin listener of a gateway"),
            AdminError::Refused { status: 401, .. } if self.token_file.is_none() => {
                exit = Exit::Usage;
                format!("{address} wants the admin token: name its file with --token-file FILE")
            }
            AdminError::Refused { status: 401, .. } => {
                "the token of --token-file is not the listen.admin_token of this gateway".to_owned()
            }
            AdminError::Refused { title, detail, .. } => {
                let end = if title.ends_with('.') { "" } else { ":" };
                format!("{}{end} {}", table::plain(title), table::plain(detail))
            }
        };
        Failed { message, exit }
    }
}
