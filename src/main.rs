//! The `vestibule` program.

use std::io;

use vestibule::app::{self, DemoError, StartError};
use vestibule::cli::{self, Exit, Output, Programs};
use vestibule::config::Loaded;

/// The programs that the commands run.
struct Composed;

impl Programs for Composed {
    fn serve(&self, loaded: Loaded, output: &mut Output<'_>) -> Exit {
        ended(app::serve(loaded).map_err(DemoError::from), output)
    }

    fn check_online(&self, loaded: Loaded, output: &mut Output<'_>) -> Exit {
        let results = match app::check_online(loaded.settings) {
            Ok(results) => results,
            Err(error) => return ended(Err(error.into()), output),
        };
        let mut exit = Exit::Fine;
        for result in results {
            match result.problem {
                None => output.line(format_args!("{}: reachable", result.subject)),
                Some(problem) => {
                    output.error_line(format_args!("{}: {problem}", result.subject));
                    exit = Exit::Unavailable;
                }
            }
        }
        exit
    }

    fn demo(&self, port: Option<u16>, output: &mut Output<'_>) -> Exit {
        let result = app::demo(port, |text| output.line(text));
        ended(result, output)
    }
}

fn ended(result: Result<(), DemoError>, output: &mut Output<'_>) -> Exit {
    let Err(error) = result else { return Exit::Fine };
    output.error_line(format_args!("vestibule: {error}"));
    match error {
        DemoError::Configuration(_) => Exit::Configuration,
        DemoError::Start(StartError::Session(_) | StartError::Entropy(_)) => Exit::Internal,
        DemoError::Start(_) | DemoError::Part(_) | DemoError::System(_) => Exit::Unavailable,
    }
}

fn main() -> Exit {
    let (mut out, mut error) = (io::stdout(), io::stderr());
    let mut output = Output::new(&mut out, &mut error);
    // First of all: there is no secret in memory yet.
    if let Err(error) = app::forbid_core_dumps() {
        return ended(Err(StartError::System(error).into()), &mut output);
    }
    cli::run(std::env::args_os(), &Composed, &mut output)
}
