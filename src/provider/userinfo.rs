//! Reading who somebody is with their access token.

use crate::claims::Identity;
use crate::oidc::id_token::{self, IdToken};
use crate::oidc::identity::{self, IdentityError, IdentityRules};
use crate::oidc::jws::UnverifiedJws;
use crate::oidc::provider_metadata::ProviderMetadata;
use crate::oidc::userinfo::{SignedExpectations, UnverifiedUserinfo, UserinfoError, primary_verified_email};
use crate::provider::Provider;
use crate::provider::observer::{CallOutcome, EndpointKind};
use crate::provider::transport::{Answer, ContentType, MAX_BODY};
use crate::provider::verification::VerificationError;
use crate::secret::{AccessToken, RawIdToken};

/// Why nobody knows who this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdentityFailure {
    /// An endpoint is away.
    Unavailable(EndpointKind, CallOutcome),
    /// An endpoint refuses the access token.
    Refused(EndpointKind),
    /// The answer breaks a rule.
    Invalid(&'static str),
}

impl IdentityFailure {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Unavailable(_, outcome) => outcome.as_str(),
            Self::Refused(_) => "refused",
            Self::Invalid(check) => check,
        }
    }
}

/// Why userinfo alone says nothing about the person who is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByUserinfo {
    /// Nobody knows.
    Unknown(IdentityFailure),
    /// The access token belongs to another subject.
    SomebodyElse,
}

impl From<UserinfoError> for IdentityFailure {
    fn from(error: UserinfoError) -> Self {
        Self::Invalid(error.check())
    }
}

impl From<IdentityError> for IdentityFailure {
    fn from(error: IdentityError) -> Self {
        Self::Invalid(error.check())
    }
}

impl Provider {
    /// The identity of an OpenID login or refresh: the verified ID token, and userinfo where there is an endpoint.
    pub(crate) async fn openid_identity(
        &self,
        metadata: &ProviderMetadata,
        access_token: &AccessToken,
        id_token: &IdToken,
    ) -> Result<Identity, IdentityFailure> {
        let userinfo = match &metadata.userinfo {
            None => None,
            Some(url) => {
                let answer = self.resource(EndpointKind::Userinfo, url, access_token).await?;
                Some(self.read_userinfo(&answer).await?.about(id_token.subject())?)
            }
        };
        let identity = identity::of_openid(&self.identity_rules(), id_token, userinfo.as_ref())?;
        self.note_overage(&identity);
        Ok(identity)
    }

    /// The identity after a refresh whose ID token has been verified, while `failure` keeps userinfo from being used.
    ///
    /// The claims of before fill in for an endpoint that is away. They do not for an answer that breaks a rule: what
    /// people write into their profiles can make it one, and they must not be able to keep groups by that.
    pub(crate) fn identity_without_userinfo(
        &self,
        id_token: &IdToken,
        previous: &Identity,
        failure: IdentityFailure,
    ) -> Result<Identity, IdentityFailure> {
        let rules = self.identity_rules();
        let identity = match failure {
            IdentityFailure::Invalid(_) => identity::of_id_token_alone(&rules, id_token, previous)?,
            _ => identity::of_refreshed_id_token(&rules, id_token, previous)?,
        };
        self.note_overage(&identity);
        Ok(identity)
    }

    /// The identity after a refresh that brought no ID token: userinfo about the same person, and the ID token that is
    /// kept in the session.
    pub(crate) async fn identity_by_userinfo(
        &self,
        url: &url::Url,
        access_token: &AccessToken,
        kept: &RawIdToken,
        subject: &str,
    ) -> Result<Identity, ByUserinfo> {
        let answer = self.resource(EndpointKind::Userinfo, url, access_token).await.map_err(ByUserinfo::Unknown)?;
        let userinfo = self.read_userinfo(&answer).await.map_err(ByUserinfo::Unknown)?;
        if userinfo.is_about_another_than(subject) {
            return Err(ByUserinfo::SomebodyElse);
        }
        let about = || {
            let userinfo = userinfo.about(subject)?;
            let kept = id_token::claims_of_kept(kept).ok_or(IdentityFailure::Invalid("kept-id-token"))?;
            Ok(identity::of_refreshed_userinfo(&self.identity_rules(), &kept, &userinfo)?)
        };
        let identity = about().map_err(ByUserinfo::Unknown)?;
        self.note_overage(&identity);
        Ok(identity)
    }

    /// The identity of a plain OAuth 2.0 login or refresh: the user resource, and the list of addresses if there is one.
    pub(crate) async fn plain_identity(
        &self,
        metadata: &ProviderMetadata,
        access_token: &AccessToken,
    ) -> Result<Identity, IdentityFailure> {
        let url = metadata.userinfo.as_ref().ok_or(IdentityFailure::Invalid("userinfo-endpoint"))?;
        let answer = self.resource(EndpointKind::Userinfo, url, access_token).await?;
        let userinfo = self.read_userinfo(&answer).await?.of_plain_oauth();
        let email = match &metadata.email {
            None => None,
            Some(url) => Some(self.email(url, access_token).await?),
        };
        let identity = identity::of_plain_oauth(&self.identity_rules(), &userinfo, email)?;
        self.note_overage(&identity);
        Ok(identity)
    }

    async fn email(&self, url: &url::Url, access_token: &AccessToken) -> Result<Option<String>, IdentityFailure> {
        let answer = match self.resource(EndpointKind::Email, url, access_token).await {
            // The scope for it may be missing. Then there is no address, and rules about addresses deny.
            Err(IdentityFailure::Refused(_)) => {
                tracing::warn!(event = "provider.claims", provider = self.settings.label(), reason = "email-refused");
                return Ok(None);
            }
            answer => answer?,
        };
        if answer.content_type != ContentType::Json {
            return Err(IdentityFailure::Invalid("email-content-type"));
        }
        primary_verified_email(&answer.body, MAX_BODY).map_err(|_| IdentityFailure::Invalid("email-not-json"))
    }

    async fn resource(
        &self,
        endpoint: EndpointKind,
        url: &url::Url,
        access_token: &AccessToken,
    ) -> Result<Answer, IdentityFailure> {
        let called = self.transport.get(endpoint, url, Some(access_token)).await;
        match called.as_ref().map_or_else(|outcome| *outcome, Answer::outcome) {
            CallOutcome::Ok => called.map_err(|outcome| IdentityFailure::Unavailable(endpoint, outcome)),
            CallOutcome::Refused => Err(IdentityFailure::Refused(endpoint)),
            CallOutcome::UnusableBody => Err(IdentityFailure::Invalid("userinfo-body")),
            CallOutcome::UnexpectedStatus => Err(IdentityFailure::Invalid("userinfo-status")),
            outcome => Err(IdentityFailure::Unavailable(endpoint, outcome)),
        }
    }

    async fn read_userinfo(&self, answer: &Answer) -> Result<UnverifiedUserinfo, IdentityFailure> {
        match answer.content_type {
            ContentType::Json => Ok(UnverifiedUserinfo::from_json(&answer.body, MAX_BODY)?),
            ContentType::Jwt => {
                let issuer =
                    self.settings.issuer.as_deref().ok_or(IdentityFailure::Invalid("userinfo-content-type"))?;
                let text =
                    std::str::from_utf8(&answer.body).map_err(|_| IdentityFailure::Invalid("userinfo-signature"))?;
                let jws = UnverifiedJws::parse(text).map_err(UserinfoError::Jws)?;
                let expected = SignedExpectations {
                    issuer,
                    client_id: &self.settings.client_id,
                    now: self.parts.clock.now(),
                    leeway: self.settings.clock_leeway,
                };
                let verified = self.with_keys(
                    |keys| UnverifiedUserinfo::from_signed(&jws, keys, &expected, MAX_BODY),
                    |error| matches!(error, UserinfoError::Jws(error) if jws.may_need_newer_keys(error)),
                );
                verified.await.map_err(|error| match error {
                    VerificationError::KeysUnavailable => {
                        IdentityFailure::Unavailable(EndpointKind::Keys, CallOutcome::Unavailable)
                    }
                    VerificationError::Invalid(error) => error.into(),
                })
            }
            ContentType::JwkSet | ContentType::Other => Err(IdentityFailure::Invalid("userinfo-content-type")),
        }
    }

    fn identity_rules(&self) -> IdentityRules<'_> {
        IdentityRules {
            issuer: self.settings.issuer_name(),
            mapping: &self.settings.claims,
            email_verified: self.settings.email_verified,
        }
    }

    fn note_overage(&self, identity: &Identity) {
        if identity.has_groups_overage(&self.settings.claims) {
            tracing::warn!(event = "provider.claims", provider = self.settings.label(), reason = "groups-overage");
        }
    }
}
