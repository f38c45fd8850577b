//! What ends a session, as metrics and the audit log name it; the session room knows neither.

use crate::session::EndReason;
use crate::telemetry::labels::SessionEnd;

pub(super) const fn session_end(reason: EndReason) -> SessionEnd {
    match reason {
        EndReason::SignOut => SessionEnd::SignOut,
        EndReason::BackChannelLogout => SessionEnd::BackChannel,
        EndReason::FrontChannelLogout => SessionEnd::FrontChannel,
        EndReason::Revoked => SessionEnd::Administrator,
        EndReason::SubjectLimit => SessionEnd::SubjectCap,
        EndReason::Replaced => SessionEnd::Replaced,
        EndReason::SteppedUp => SessionEnd::SteppedUp,
        EndReason::RefreshRejected => SessionEnd::RefreshRejected,
        EndReason::OtherSubject => SessionEnd::OtherSubject,
        EndReason::Expired => SessionEnd::Lifetime,
        EndReason::Idle => SessionEnd::Idle,
        EndReason::KeyRemoved => SessionEnd::KeyRemoved,
        EndReason::ProviderChanged => SessionEnd::ProviderChanged,
    }
}
