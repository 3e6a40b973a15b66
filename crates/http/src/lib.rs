//! What every HTTP route of Plugyard shares: who is asking, what they may, how answers and problems look.
//!
//! Routes themselves live in the crates whose resources they serve; `plugyard-server` assembles them
//! and puts the layers of this crate around them. Nothing here knows a resource.
//!
//! Where to look:
//!
//! * [`RouteRight`], [`Rights`] and [`authorize`]: which right a route needs. A route that the table
//!   does not name is refused to everybody.
//! * [`Problem`](plugyard_model::Problem) → [`ProblemResponse`]: every error of a handler; the
//!   [`present()`] layer writes it in the reader's language and the route's [`Envelope`].
//! * [`Json`], [`Path`], [`Query`], [`Caller`], [`Language`]: extractors whose refusals are problems.
//! * [`Cursor`], [`Page`]: paging. [`ETag`], [`IfMatch`]: editing without losing what others wrote.
//! * [`idempotency`]: the same POST sent twice has one effect.
//! * [`admin`]: answers in the form of `/api/admin/…`.
//! * [`ekuiper`]: answers in the form of eKuiper's interface.
//! * [`sse`]: server-sent events that resume.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod admin;
mod concerns;
mod cursor;
mod deadline;
pub mod ekuiper;
mod etag;
mod extract;
pub mod idempotency;
mod present;
mod principal;
mod problem;
mod rights;
pub mod sse;

pub use concerns::{About, Concerns, Refusal};
pub use cursor::{Cursor, Page, PageQuery};
pub use deadline::{Deadline, Unhurried};
pub use etag::{ETag, IfMatch};
pub use extract::{BodyLimit, Json, Path, Query};
pub use present::{Language, RequestId, present};
pub use principal::{Caller, OwnPlugin, Principal};
pub use problem::{ApiResult, FindingBody, ProblemBody, ProblemResponse, problem_of};
pub use rights::{Envelope, Rights, RightsError, RouteRight, authorize};
