//! The tests that need actors: a provider, an upstream, a browser, raw connections. A file per behaviour.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a test that meets something unexpected is to fail at once and to say where"
)]

mod access_rules;
mod admin;
mod admin_page;
mod answers;
mod audit;
mod backchannel_logout;
mod body_limits;
mod callback;
mod certified_provider;
mod chromium;
mod claims;
mod code_exchange;
mod cross_site;
mod deployment;
mod development_provider;
mod discovery;
mod explain;
mod explained;
mod faults_file;
mod faults_redis;
mod finished_login;
mod forged_tokens;
mod forward_auth;
mod forward_auth_recipes;
mod forward_auth_refused;
mod forwarding;
mod frontchannel_logout;
mod generated;
mod groups_overage;
mod h2spec;
mod harness;
mod harness_itself;
mod header_values;
mod http2;
mod http2_hostile;
mod id_token;
mod identity_assertion;
mod identity_headers;
mod keycloak;
mod keys;
mod keys_over_restarts;
mod limits;
mod limits_of_use;
mod limits_per_address;
mod login;
mod login_attempt;
mod login_start;
mod logout;
mod logout_over_redis;
mod logout_tokens;
mod outages;
mod own_endpoints;
mod own_session;
mod own_sessions;
mod pages;

mod path_rules;
mod paths;
mod plain_oauth;
mod probes;
mod process;
#[path = "../../fuzz/src/lib.rs"]
mod properties;
mod provider_away;
mod provider_errors;
mod provider_faults;
mod proxy_protocol;
mod public_paths;
mod public_url_path;
mod recovery;
mod refresh;
mod refresh_at_the_end;
mod refresh_faults;
mod refreshed_id_token;
mod reload;
mod reload_files;
mod reload_reach;
mod reload_sessions;
mod replayed;
mod request_target;
mod return_path;
mod routing;
mod scopes;
mod secrets_in_logs;
mod session_cookie;
mod session_life;
mod sessions_command;
mod several_providers;
mod slow_clients;
mod smuggling_scan;
mod step_up;
mod step_up_failed;
mod step_up_session;
mod store_away;
mod stored;
mod streaming;
mod tls_listener;
mod token_lifetime;
mod trusted_proxies;
mod unix_listener;
mod upstream_faults;
mod userinfo;
mod views;
mod web_socket;
mod without_randomness;
