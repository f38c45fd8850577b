//! The headers by which an upstream is told about the person, as a list of their own: what a forwarded request carries
//! and what a forward-auth answer says is the same.

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::error::{InvalidUpstream, UpstreamError};
use super::identity_assertion::IdentityAssertion;
use super::managed::ManagedSet;
use super::own_names::may_be_set;
use super::principal::Principal;
use super::template::{HeaderTemplate, RequestValues};

/// Every header that an upstream is told, with its template.
#[derive(Debug)]
pub(super) struct IdentityHeaders {
    headers: Vec<(HeaderName, HeaderTemplate)>,
    /// Only where a header holds it.
    assertion: Option<IdentityAssertion>,
}

impl IdentityHeaders {
    /// Takes the configured headers.
    ///
    /// # Errors
    /// [`InvalidUpstream::Header`] for a name that belongs to the message itself, or one that is not taken off requests:
    /// then what came from outside would stand beside what we say. [`InvalidUpstream::Unsigned`] where `{identity}` has no
    /// `assertion`.
    pub(super) fn new(
        headers: &[(HeaderName, HeaderTemplate)],
        managed: &ManagedSet,
        assertion: Option<IdentityAssertion>,
    ) -> Result<Self, InvalidUpstream> {
        let usable = |name: &HeaderName| may_be_set(name) && managed.governs(name.as_str());
        if let Some((name, _)) = headers.iter().find(|(name, _)| !usable(name)) {
            return Err(InvalidUpstream::Header(name.clone()));
        }
        let signed = headers.iter().find(|(_, template)| template.uses_identity());
        match (signed, assertion) {
            (Some((name, _)), None) => Err(InvalidUpstream::Unsigned(name.clone())),
            (signed, assertion) => {
                Ok(Self { headers: headers.to_vec(), assertion: assertion.filter(|_| signed.is_some()) })
            }
        }
    }

    /// Whether one of them carries the access token.
    pub(super) fn use_access_token(&self) -> bool {
        self.headers.iter().any(|(_, template)| template.uses_access_token())
    }

    /// Fills every template and hands each line on; `None` for a header that has nothing to say.
    ///
    /// # Errors
    /// [`UpstreamError::ClaimNotAHeader`], [`UpstreamError::ClaimMissing`] and [`UpstreamError::Assertion`].
    pub(super) fn render(
        &self,
        principal: &Principal<'_>,
        request: RequestValues<'_>,
        mut line: impl FnMut(&HeaderName, Option<HeaderValue>),
    ) -> Result<(), UpstreamError> {
        let assertion = match (&self.assertion, principal.identity) {
            (Some(assertion), Some(identity)) => Some(assertion.sign(identity)?),
            _ => None,
        };
        for (name, template) in &self.headers {
            let mut empty = true;
            let lines = template.lines(principal, request, assertion.as_deref(), |mut value| {
                empty = false;
                value.set_sensitive(value.is_sensitive() || *name == AUTHORIZATION);
                line(name, Some(value));
            });
            lines.map_err(|source| UpstreamError::ClaimNotAHeader { header: name.clone(), source })?;
            if empty {
                // Without a person there is nobody to refuse: public paths and anonymous requests go on.
                if template.is_required() && principal.identity.is_some() {
                    return Err(UpstreamError::ClaimMissing { header: name.clone() });
                }
                line(name, None);
            }
        }
        Ok(())
    }

    /// The same as a list. `Authorization` is always in it, because it is always ours to say.
    ///
    /// # Errors
    /// As of [`Self::render`].
    pub(super) fn list(
        &self,
        principal: &Principal<'_>,
        request: RequestValues<'_>,
    ) -> Result<Vec<(HeaderName, Option<HeaderValue>)>, UpstreamError> {
        let mut list = Vec::with_capacity(self.headers.len() + 1);
        self.render(principal, request, |name, value| list.push((name.clone(), value)))?;
        if !list.iter().any(|(name, _)| *name == AUTHORIZATION) {
            list.push((AUTHORIZATION, None));
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests;
