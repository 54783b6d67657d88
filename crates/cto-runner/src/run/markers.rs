//! Marker files below `backend/`: one name for each cause that people and scripts look for.

use cto_schema::BlockerCode;

/// Returns the marker of a cause, as a path in the bundle; most causes have none.
pub(crate) fn marker(code: BlockerCode) -> Option<&'static str> {
    use BlockerCode as C;
    match code {
        C::ModelNotAdmitted => Some("backend/provider-model-not-admitted.txt"),
        C::ProviderLocalConfigUnavailable => Some("backend/provider-local-config-unavailable.txt"),
        C::ProviderAuthUnavailable => Some("backend/provider-auth-unavailable.txt"),
        C::ProviderResponseShape => Some("backend/provider-reasoning-only.txt"),
        C::ProviderUnavailable => Some("backend/provider-unavailable.txt"),
        C::AgentProtocol => Some("backend/provider-agent-protocol.txt"),
        _ => None,
    }
}
