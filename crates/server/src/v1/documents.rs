//! The bodies that several routes answer with.

use plugyard_http::FindingBody;
use plugyard_model::{
    Digest, Finding, FindingDocument, Health, HealthState, KindId, Lang, OperationId, PluginName,
    VersionId, Wanted,
};
use plugyard_platform::InstallationView;
use plugyard_platform::kind::Version;
use plugyard_platform::versions::VersionView;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A version of a plugin.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Version)]
pub(super) struct VersionDocument {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub(super) id: VersionId,
    /// What the package calls its version; free text, may be empty.
    pub(super) label: String,
    /// SHA-256 of the package.
    #[schema(value_type = String)]
    pub(super) digest: Digest,
    /// What the installer added to the package, e.g. `shellParas`.
    pub(super) options: Value,
}

impl From<Version> for VersionDocument {
    fn from(version: Version) -> Self {
        Self {
            id: version.id,
            label: version.label,
            digest: version.digest,
            options: version.options,
        }
    }
}

/// A version as the catalogue lists it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VersionListed)]
pub(super) struct VersionListed {
    #[serde(flatten)]
    version: VersionDocument,
    /// The manifest in the kind's normal form.
    manifest: Value,
    /// What was found in the package; none of it keeps it out.
    #[schema(value_type = Vec<FindingBody>)]
    findings: Vec<FindingDocument>,
    /// Milliseconds since 1970 (UTC).
    created_at: i64,
}

impl VersionListed {
    pub(super) fn new(view: VersionView, lang: Lang) -> Self {
        Self {
            findings: findings(&view.findings, lang),
            manifest: view.version.manifest.clone(),
            version: view.version.into(),
            created_at: view.created_at,
        }
    }
}

pub(super) fn findings(findings: &[Finding], lang: Lang) -> Vec<FindingDocument> {
    findings.iter().map(|it| it.document(lang)).collect()
}

/// How an installation really is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(super) struct HealthDocument {
    /// `unknown`, `starting`, `ready`, `degraded`, `failed` or `stopped`.
    #[schema(value_type = String)]
    state: HealthState,
    /// Why; may be empty.
    reason: String,
}

impl From<Health> for HealthDocument {
    fn from(health: Health) -> Self {
        Self {
            state: health.state,
            reason: health.reason,
        }
    }
}

/// A plugin made available here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Installation)]
pub(super) struct InstallationDocument {
    /// Its name, `kind:key`.
    #[schema(value_type = String)]
    plugin: PluginName,
    /// The kind.
    #[schema(value_type = String)]
    kind: KindId,
    /// The key.
    key: String,
    /// What the operator wants: `running` or `stopped`, for kinds without a process `enabled` or `disabled`.
    #[schema(value_type = String)]
    wanted: Wanted,
    /// How it is.
    health: HealthDocument,
    /// The version in force; absent while the first one is being installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<VersionDocument>,
    /// The version before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<VersionDocument>,
    /// The change under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    operation: Option<OperationId>,
    /// Milliseconds since 1970 (UTC).
    created_at: i64,
    /// Milliseconds since 1970 (UTC).
    updated_at: i64,
}

impl From<InstallationView> for InstallationDocument {
    fn from(view: InstallationView) -> Self {
        Self {
            kind: view.plugin.kind.clone(),
            key: view.plugin.key.to_string(),
            plugin: view.plugin,
            wanted: view.wanted,
            health: view.health.into(),
            version: view.current.map(Into::into),
            previous: view.previous.map(Into::into),
            operation: view.operation,
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}
