//! `Via` (RFC 9110 §7.6.3): says that we were here, and so finds a request that comes around again.

use http::header::{HeaderMap, HeaderValue, VIA};

use crate::entropy::{Entropy, NoEntropy, draw};

/// The name this process has in `Via`.
///
/// It is random, so that two gateways in a row are no loop, and neither are two replicas of one.
#[derive(Clone, Debug)]
pub struct Via {
    pseudonym: String,
    value: HeaderValue,
}

/// The request has been here before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loop;

impl Via {
    /// Draws a name.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn draw(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        let pseudonym = format!("vestibule-{:016x}", u64::from_be_bytes(draw(entropy)?));
        // Hexadecimal digits are always a valid value.
        let value = HeaderValue::from_str(&format!("1.1 {pseudonym}")).map_err(|_| NoEntropy)?;
        Ok(Self { pseudonym, value })
    }

    /// Adds us to the list, unless we are in it already.
    ///
    /// # Errors
    /// [`Loop`]; the request is refused with 508.
    pub(super) fn mark(&self, headers: &mut HeaderMap) -> Result<(), Loop> {
        let ours = self.pseudonym.as_bytes();
        let seen = headers
            .get_all(VIA)
            .iter()
            .any(|value| value.as_bytes().windows(ours.len()).any(|part| part.eq_ignore_ascii_case(ours)));
        if seen {
            return Err(Loop);
        }
        headers.append(VIA, self.value.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn hd_20_a_request_that_comes_back_is_a_loop() {
        let ours = Via::draw(&SystemEntropy).unwrap();
        let theirs = Via::draw(&SystemEntropy).unwrap();
        let mut headers = HeaderMap::new();
        headers.append(VIA, HeaderValue::from_static("1.0 cache, 1.1 ingress"));
        ours.mark(&mut headers).unwrap();
        theirs.mark(&mut headers).unwrap();
        assert_eq!(headers.get_all(VIA).iter().count(), 3);
        assert_eq!(ours.mark(&mut headers), Err(Loop));
    }

    #[test]
    fn hd_20_a_joined_line_is_a_loop_too() {
        let via = Via::draw(&SystemEntropy).unwrap();
        let mut headers = HeaderMap::new();
        headers.append(VIA, HeaderValue::from_str(&format!("1.1 a,1.1 {} (x), 1.1 b", via.pseudonym)).unwrap());
        assert_eq!(via.mark(&mut headers), Err(Loop));
    }
}
