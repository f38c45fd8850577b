//! `vestibule generate-key`.

use crate::config;
use crate::entropy::Entropy;

use super::{Exit, Output};

pub(super) fn generate_key(entropy: &dyn Entropy, output: &mut Output<'_>) -> Exit {
    match config::generate_key(entropy) {
        Ok(key) => {
            output.line(key.as_str());
            Exit::Fine
        }
        Err(error) => {
            output.error_line(error);
            Exit::Internal
        }
    }
}
