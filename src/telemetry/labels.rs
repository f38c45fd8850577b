//! Closed lists of label values: a metric can only have the series that stand here.

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The value of the label.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

labels! {
    /// How a request ended: by the upstream's answer, or by the gateway's own.
    Outcome {
        /// The upstream switched protocols: a WebSocket.
        Upgraded = "upgraded",
        /// The upstream answered 2xx.
        Success = "2xx",
        /// The upstream answered 3xx.
        Redirect = "3xx",
        /// The upstream answered 4xx.
        ClientError = "4xx",
        /// The upstream answered 5xx.
        ServerError = "5xx",
        /// One of the gateway's own endpoints answered.
        Endpoint = "endpoint",
        /// A proxy that asked was told yes.
        Allowed = "allowed",
        /// Sent to the login.
        Login = "login",
        /// 401 by the gateway.
        Unauthenticated = "unauthenticated",
        /// 403 by the gateway.
        Forbidden = "forbidden",
        /// Another 4xx by the gateway.
        Refused = "refused",
        /// 5xx by the gateway.
        Failed = "failed",
    }
}

impl Outcome {
    /// The outcome of a request that the upstream has answered.
    #[must_use]
    pub const fn of_upstream(status: u16) -> Self {
        match status {
            0..=199 => Self::Upgraded,
            200..=299 => Self::Success,
            300..=399 => Self::Redirect,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// The outcome of a request that the gateway has refused.
    #[must_use]
    pub const fn of_refusal(status: u16) -> Self {
        match status {
            401 => Self::Unauthenticated,
            403 => Self::Forbidden,
            400..=499 => Self::Refused,
            500.. => Self::Failed,
            _ => Self::Endpoint,
        }
    }
}

labels! {
    /// Why somebody who is logged in may not in.
    Denial {
        /// The claims are there and do not match.
        NotAllowed = "not-allowed",
        /// A claim that the rule asks for is missing, or of another kind.
        ClaimMissing = "claim-missing",
        /// The address is not verified.
        EmailNotVerified = "email-not-verified",
        /// The provider left the groups out, because there are too many.
        GroupsOverage = "groups-overage",
        /// The login was not granted a scope that the upstream needs.
        ScopeNotGranted = "scope-not-granted",
        /// The rule wants a stronger or fresher login.
        StepUpRequired = "step-up-required",
    }
}

labels! {
    /// What a refresh came to.
    RefreshOutcome {
        /// New tokens.
        Ok = "ok",
        /// The provider refused the refresh token: the session has ended.
        Rejected = "rejected",
        /// The provider could not be asked, or did not answer with tokens; there will be another try.
        Failed = "failed",
        /// The answer was lost after the request had been sent.
        Uncertain = "uncertain",
        /// Somebody else had refreshed in the meantime.
        Superseded = "superseded",
    }
}

labels! {
    /// What has ended a session.
    SessionEnd {
        /// Its absolute limit.
        Lifetime = "lifetime",
        /// Nobody used it.
        Idle = "idle",
        /// The person signed out.
        SignOut = "sign-out",
        /// The provider said so, server to server.
        BackChannel = "back-channel-logout",
        /// The provider said so through the browser.
        FrontChannel = "front-channel-logout",
        /// An administrator.
        Administrator = "administrator",
        /// Too many sessions of one subject.
        SubjectCap = "subject-cap",
        /// The provider refused the refresh token.
        RefreshRejected = "refresh-rejected",
        /// The refreshed identity was somebody else's.
        OtherSubject = "other-subject",
        /// Its key is no longer in the ring.
        KeyRemoved = "key-removed",
        /// The configured issuer or client is another one now.
        ProviderChanged = "provider-changed",
        /// The same browser logged in again.
        Replaced = "replaced",
        /// The same person stepped up in the same browser.
        SteppedUp = "stepped-up",
    }
}

labels! {
    /// Where the provider is called.
    ProviderEndpoint {
        /// The metadata document.
        Metadata = "metadata",
        /// The key set.
        Keys = "keys",
        /// The token endpoint.
        Token = "token",
        /// The userinfo endpoint, and the e-mail endpoint of plain OAuth 2.0.
        Userinfo = "userinfo",
        /// The revocation endpoint.
        Revocation = "revocation",
    }
}

labels! {
    /// What a call to the provider came to.
    CallOutcome {
        /// A usable answer.
        Ok = "ok",
        /// A refusal: 4xx.
        Rejected = "rejected",
        /// 5xx or 429.
        Unavailable = "unavailable",
        /// No connection, or it broke.
        Unreachable = "unreachable",
        /// No answer in time.
        Timeout = "timeout",
        /// An answer that is none: wrong type, too long, not readable.
        Malformed = "malformed",
    }
}

labels! {
    /// A step of the login.
    LoginStep {
        /// A browser was sent to the provider.
        Started = "started",
        /// It came back with a good attempt, and the code is being spent.
        Exchanging = "exchanging",
        /// A session has begun.
        Ok = "ok",
        /// It came back and was refused.
        Rejected = "rejected",
    }
}

labels! {
    /// What is done with the store.
    StoreOperation {
        /// A record is read.
        Load = "load",
        /// A record is written for the first time.
        Insert = "insert",
        /// A record is written again.
        Replace = "replace",
        /// A record is removed.
        Remove = "remove",
        /// The last use is noted.
        Touch = "touch",
        /// A marker is written: used attempts and logout tokens.
        PutOnce = "put-once",
        /// A lease is taken or released.
        Lease = "lease",
        /// An index is read or written.
        Index = "index",
    }
}

labels! {
    /// What a reading of the configuration came to.
    ReloadOutcome {
        /// It is in force.
        Ok = "ok",
        /// It was refused, and the one before stays in force.
        Rejected = "rejected",
        /// It is what is in force already.
        Unchanged = "unchanged",
    }
}

labels! {
    /// A limit that turned something away.
    Limit {
        /// Connections at once.
        Connections = "connections",
        /// The time for the head of a request.
        HeaderTimeout = "header-timeout",
        /// The time for the handshake of TLS.
        HandshakeTimeout = "handshake-timeout",
        /// Connections of one address at once.
        ConnectionsPerAddress = "connections-per-address",
        /// The length of the request target.
        Target = "target",
        /// The number or size of the headers.
        Headers = "headers",
        /// The size of a request's body.
        Body = "body",
        /// The pace of a request's body.
        BodyRate = "body-rate",
        /// The time for a peer to take its answer.
        WriteTimeout = "write-timeout",
        /// Callbacks a second.
        Callbacks = "callbacks",
        /// Logout tokens a second.
        LogoutTokens = "logout-tokens",
        /// Front-channel logouts a second.
        FrontChannelLogouts = "front-channel-logouts",
        /// Callbacks a minute of one address.
        CallbacksPerAddress = "callbacks-per-address",
        /// WebSockets of one session.
        WebSocketsPerSession = "websockets-per-session",
        /// WebSockets of one address.
        WebSocketsPerAddress = "websockets-per-address",
        /// Calls to a provider at once.
        ProviderCalls = "provider-calls",
        /// Sessions in the memory store.
        Sessions = "sessions",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_its_own_place_in_the_list() {
        for (place, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, place);
        }
    }

    #[test]
    fn statuses_fall_into_classes() {
        assert_eq!(Outcome::of_upstream(101), Outcome::Upgraded);
        assert_eq!(Outcome::of_upstream(204), Outcome::Success);
        assert_eq!(Outcome::of_upstream(503), Outcome::ServerError);
        assert_eq!(Outcome::of_refusal(401), Outcome::Unauthenticated);
        assert_eq!(Outcome::of_refusal(421), Outcome::Refused);
        assert_eq!(Outcome::of_refusal(503), Outcome::Failed);
        assert_eq!(Outcome::of_refusal(200), Outcome::Endpoint);
    }
}
