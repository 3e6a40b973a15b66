//! What this host can enforce.

use serde::{Deserialize, Serialize};

use crate::cgroup::CgroupReport;
use crate::limits::Enforcement;
use crate::spec::Isolated;

/// What this host can enforce, each with the reason where it cannot. Found out by trying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// Release of the kernel.
    pub kernel: String,
    /// Does this server run as root?
    pub root: bool,
    /// Processes can be waited for and signalled without mistaking one for another. Nothing can be
    /// started where this is missing (Linux before 5.4).
    pub pidfd: bool,
    /// What isolation a process gets that asks for all of it; or why none could be started.
    pub isolation: Result<Isolated, String>,
    /// Which control groups may be used.
    pub cgroups: CgroupReport,
    /// Who would keep the default limits.
    pub enforcement: Enforcement,
}
