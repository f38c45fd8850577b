//! `vestibule serve`.

use super::{Exit, FileArgument, Output, Programs};

pub(super) fn serve(file: &FileArgument, programs: &dyn Programs, output: &mut Output<'_>) -> Exit {
    match file.load(output) {
        Ok(loaded) => programs.serve(loaded, output),
        Err(exit) => exit,
    }
}
