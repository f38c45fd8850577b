//! The headers by which an upstream is told about the person, as a list of their own: what a forwarded request carries
//! and what a forward-auth answer says is the same.

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::error::{InvalidUpstream, UpstreamError};
use super::managed::{ManagedSet, may_be_set};
use super::principal::Principal;
use super::template::{HeaderTemplate, RequestValues};

/// Every header that an upstream is told, with its template.
#[derive(Debug)]
pub(super) struct IdentityHeaders {
    headers: Vec<(HeaderName, HeaderTemplate)>,
}

impl IdentityHeaders {
    /// Takes the configured headers.
    ///
    /// # Errors
    /// [`InvalidUpstream::Header`] for a name that belongs to the message itself, or one that is not taken off requests:
    /// then what came from outside would stand beside what we say.
    pub(super) fn new(headers: &[(HeaderName, HeaderTemplate)], managed: &ManagedSet) -> Result<Self, InvalidUpstream> {
        let usable = |name: &HeaderName| may_be_set(name) && managed.governs(name.as_str());
        match headers.iter().find(|(name, _)| !usable(name)) {
            Some((name, _)) => Err(InvalidUpstream::Header(name.clone())),
            None => Ok(Self { headers: headers.to_vec() }),
        }
    }

    /// Whether one of them carries the access token.
    pub(super) fn use_access_token(&self) -> bool {
        self.headers.iter().any(|(_, template)| template.uses_access_token())
    }

    /// Fills every template and hands each line on; `None` for a header that has nothing to say.
    ///
    /// # Errors
    /// [`UpstreamError::ClaimNotAHeader`].
    pub(super) fn render(
        &self,
        principal: &Principal<'_>,
        request: RequestValues<'_>,
        mut line: impl FnMut(&HeaderName, Option<HeaderValue>),
    ) -> Result<(), UpstreamError> {
        for (name, template) in &self.headers {
            let rendered = template
                .render(principal, request)
                .map_err(|source| UpstreamError::ClaimNotAHeader { header: name.clone(), source })?;
            line(
                name,
                rendered.map(|mut value| {
                    value.set_sensitive(value.is_sensitive() || *name == AUTHORIZATION);
                    value
                }),
            );
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
