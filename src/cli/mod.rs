//! Arguments, one file per command, exit codes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::config::{self, ConfigError, Loaded, SystemEnvironment};
use crate::entropy::SystemEntropy;

mod check;
mod exit;
mod explain;
mod generate_key;
mod output;
mod serve;
mod sessions;
#[cfg(test)]
mod tests;

pub use exit::Exit;
pub use output::Output;

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "vestibule.toml";

/// What the commands run that is composed elsewhere.
pub trait Programs {
    /// Runs the gateway until it is told to stop.
    fn serve(&self, loaded: Loaded, output: &mut Output<'_>) -> Exit;
    /// Tries what a configuration needs outside: discovery, keys, upstreams; says what it found.
    fn check_online(&self, loaded: Loaded, output: &mut Output<'_>) -> Exit;
    /// Runs the development identity provider, the sample upstream and the gateway in front.
    fn demo(&self, port: Option<u16>, output: &mut Output<'_>) -> Exit;
}

/// An authentication gateway: OAuth 2.0 and OpenID Connect logins in front of web applications that have none.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    file: FileArgument,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway; this is what happens without a command, too.
    Serve(FileArgument),
    /// Read and check a configuration: all its problems at once, and what to register at the provider.
    Check {
        #[command(flatten)]
        file: FileArgument,
        /// Also try the provider and the upstreams.
        #[arg(long)]
        online: bool,
    },
    /// Say which upstream, rule and headers a request would get, and why; nothing is started and nobody is asked.
    Explain(explain::ExplainArguments),
    /// Try everything on this machine, with a development identity provider and a sample application.
    Demo {
        /// The port to open in the browser; 0 takes any that is free. Without it 8080, or another one when that is taken.
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
    },
    /// List and end the live sessions of a running gateway, by way of its admin listener.
    Sessions(sessions::SessionsArguments),
    /// Print a fresh session key.
    GenerateKey,
}

#[derive(Clone, Debug, Args)]
struct FileArgument {
    /// The configuration file [default: vestibule.toml].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the program with the arguments of the process, its own name first.
pub fn run<I, A>(arguments: I, programs: &dyn Programs, output: &mut Output<'_>) -> Exit
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            output.line(error.render().to_string().trim_end());
            return Exit::Fine;
        }
        Err(error) => {
            output.error_line(error.render().to_string().trim_end());
            return Exit::Usage;
        }
    };
    // `vestibule --config FILE check` means what it says.
    let before = arguments.file;
    let file = |named: FileArgument| FileArgument { config: named.config.or(before.config.clone()) };
    match arguments.command {
        None => serve::serve(&before, programs, output),
        Some(Command::Serve(named)) => serve::serve(&file(named), programs, output),
        Some(Command::Check { file: named, online }) => check::check(&file(named), online, programs, output),
        Some(Command::Explain(arguments)) => {
            let named = file(arguments.file.clone());
            explain::explain(&arguments, &named, output)
        }
        Some(Command::Demo { port }) => programs.demo(port, output),
        Some(Command::Sessions(arguments)) => sessions::sessions(&arguments, output),
        Some(Command::GenerateKey) => generate_key::generate_key(&SystemEntropy, output),
    }
}

impl FileArgument {
    fn path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE))
    }

    /// Reads the file, or says what is wrong with it.
    fn load(&self, output: &mut Output<'_>) -> Result<Loaded, Exit> {
        if self.config.is_none() && !Path::new(DEFAULT_FILE).exists() {
            output.error_line(format_args!(
                "There is no {DEFAULT_FILE} here, and no other file was named.\n\n  \
                 vestibule serve --config FILE   runs the gateway with that configuration; `check` reads it alone\n  \
                 vestibule demo                  shows everything on this machine, with nothing to configure"
            ));
            return Err(Exit::Configuration);
        }
        config::load(self.path(), &SystemEnvironment, &SystemEntropy).map_err(|error: ConfigError| {
            output.error_line(error);
            Exit::Configuration
        })
    }
}
