//! A token in a file of its own, for commands that show it to a running gateway.

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::environment::Environment;
use super::secret_file::{WRITABLE_BY_GROUP_OR_OTHERS, without_line_end};
use crate::secret::AdminToken;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else could have put another one there.
    #[error("others than its owner may write {path}; chmod go-w {path}", path = .0.display())]
    Writable(PathBuf),
    /// Nothing that a header can carry.
    #[error("{} does not hold a token: visible ASCII characters on one line", .0.display())]
    Malformed(PathBuf),
}

/// Reads a token under the rules of every other secret file.
///
/// # Errors
/// [`TokenFileError`], which never repeats what the file holds.
pub fn token_file(path: &Path, environment: &dyn Environment) -> Result<AdminToken, TokenFileError> {
    let file = environment.file(path).map_err(|source| TokenFileError::Unreadable { path: path.to_owned(), source })?;
    let bytes = Zeroizing::new(file.bytes);
    if file.mode & WRITABLE_BY_GROUP_OR_OTHERS != 0 {
        return Err(TokenFileError::Writable(path.to_owned()));
    }
    let token = std::str::from_utf8(&bytes).map(without_line_end).unwrap_or_default();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenFileError::Malformed(path.to_owned()));
    }
    Ok(AdminToken::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::tests::Fake;

    #[test]
    fn cf_02_a_token_is_one_line_of_a_file_that_nobody_else_can_write() {
        let mut fake = Fake::default().with("/t", "0123456789abcdef\r\n").with("/two", "one\ntwo").with("/empty", "\n");
        fake.put("/open", b"0123456789abcdef", 0o620, false);
        fake.put("/binary", &[0xff, 0xfe], 0o600, false);
        assert_eq!(token_file(Path::new("/t"), &fake).unwrap(), AdminToken::new("0123456789abcdef".to_owned()));
        for (path, why) in [
            ("/two", "does not hold a token"),
            ("/empty", "does not hold a token"),
            ("/binary", "does not hold a token"),
            ("/open", "chmod go-w /open"),
            ("/none", "/none cannot be read"),
        ] {
            let error = token_file(Path::new(path), &fake).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("two\n"), "{error}");
        }
    }
}
