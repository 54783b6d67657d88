//! `cto matrix`: engines, cases and repeats, run in turns, and what their sealed bundles show.

mod evidence;
mod lanes;
mod plan;
mod publish;
mod work;

use cto_evidence::{DocumentError, DrawError, InspectError, KeyError, LedgerError, MatrixError, SnapshotError};

use crate::cases::CaseError;
use crate::engine::EngineError;

pub use evidence::matrix_report;
pub use lanes::Lanes;
pub use plan::{TrialsRequest, make_plan};
pub use publish::{check_places, seal_matrix, write_inspect, write_matrix};
pub use work::{TrialsObserver, TrialsWork, work};

/// Why a matrix could not be planned, worked on or reported.
#[derive(Debug, thiserror::Error)]
pub enum TrialsError {
    /// What is asked for cannot be a plan.
    #[error("plan the matrix: {what}")]
    Plan {
        /// What is wrong, and how to mend it.
        what: String,
    },
    /// A case.
    #[error("plan the matrix")]
    Case(#[from] CaseError),
    /// An engine.
    #[error("plan the matrix")]
    Engine(#[from] EngineError),
    /// The contract of a lane is not the one that was planned.
    #[error(
        "go on with the matrix: case '{case_id}' has another contract for engine '{engine}' than when it was planned, so its \
         cells could not be compared; start a new matrix"
    )]
    Changed {
        /// The engine.
        engine: String,
        /// The case.
        case_id: String,
    },
    /// The matrix on disk.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// The keys.
    #[error("use the installation's keys")]
    Keys(#[from] KeyError),
    /// The ledger.
    #[error("read the run ledger")]
    Ledger(#[from] LedgerError),
    /// The ledger beside its runs.
    #[error("read the run ledger")]
    Snapshot(#[from] SnapshotError),
    /// The report could not be drawn.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// The Inspect log could not be made.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The report could not be sealed.
    #[error(transparent)]
    Seal(#[from] DocumentError),
    /// The report could not be expressed, or its place is gone.
    #[error("write the matrix report")]
    Express(#[source] std::io::Error),
    /// The random numbers of the kernel.
    #[error("draw the name of the matrix")]
    Random(#[source] std::io::Error),
}
