//! `GET /oauth2/signed_out`: where the provider sends the browser after a logout.

use std::sync::Arc;

use super::super::Gateway;
use super::super::ingress::Ingress;
use super::super::query::Query;
use super::super::respond;
use super::{Answer, login};
use crate::return_to::ReturnTo;
use crate::session::logout_state::LogoutState;

pub(super) fn signed_out(gateway: &Arc<Gateway>, ingress: &Ingress) -> Answer {
    let query = Query::read(ingress.query.as_deref(), &["state"])?;
    let place = gateway.login_place(&ingress.host);
    let opened = query
        .first(&["state"])
        .and_then(|state| LogoutState::open(place, state.as_bytes(), gateway.clock.now()).ok().flatten());
    match opened {
        // Only our own `state` leads anywhere: a return path in the query would be an open door.
        Some(state) => login::redirect(gateway.return_to(Some(state.return_path()), &ingress.host).as_str()),
        None => Ok(respond::signed_out(&gateway.page_context(ingress), ReturnTo::home(&gateway.public_url).as_str())),
    }
}
