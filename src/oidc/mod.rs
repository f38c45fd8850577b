//! The relying party as pure functions, one exchange per file.
//!
//! Values and `now` go in, values or errors come out; `provider` does the talking. Everything a provider says is read
//! by [`json`] or [`authorization_response`], which refuse what two readers could understand in two ways.

pub mod authorization_request;
pub mod authorization_response;
pub mod client_authentication;
pub mod endpoint_url;
pub mod id_token;
pub mod identity;
pub mod json;
pub mod jwk_set;
pub mod jws;
pub mod logout;
pub mod logout_token;
pub mod numeric_date;
pub mod pkce;
pub mod provider_metadata;
pub mod revocation;
#[cfg(test)]
pub(crate) mod test_keys;
pub mod token_claims;
pub mod token_error;
pub mod token_request;
pub mod token_response;
pub mod userinfo;
