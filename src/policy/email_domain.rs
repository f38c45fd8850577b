//! The domain of an e-mail address, of a shape that cannot be read in two ways.

/// The lower-case domain of `address`; `None` for anything but one plain local part, one `@` and one plain domain.
pub(super) fn domain_of(address: &str) -> Option<String> {
    let (local, domain) = address.split_once('@')?;
    // RFC 5322 atext and dots: quotes, comments, controls, spaces and other letters have been used to pass one
    // reader's check and reach another reader's account.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-/=?^_`{|}~.".contains(&byte);
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let valid = !local.is_empty() && local.bytes().all(plain) && !domain.is_empty() && domain.split('.').all(label);
    valid.then(|| domain.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jw_36_addresses_that_two_readers_could_read_differently_have_no_domain() {
        for address in [
            "a@evil@corp.com",
            "a@corp.com\n",
            "a@corp.com\0",
            "a@corp.com%00",
            "a@corp.com.",
            "a@c\u{43e}rp.com",
            "\"a@corp.com\"@evil",
            "\"a\"@corp.com",
            "a b@corp.com",
            "a@corp.com ",
            " a@corp.com",
            "a%b@corp.com",
            "@corp.com",
            "a@",
            "a@.corp.com",
            "a@corp..com",
            "a@[127.0.0.1]",
            "a@corp.com>",
            "a@corp.com,b@evil.com",
            "a(x)@corp.com",
            "corp.com",
            "",
        ] {
            assert_eq!(domain_of(address), None, "{address:?}");
        }
        assert_eq!(domain_of("First.Last+tag@Corp.COM").as_deref(), Some("corp.com"));
    }
}
