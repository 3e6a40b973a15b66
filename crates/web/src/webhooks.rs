//! Events for others: endpoints that operators registered get them as signed posts.
//!
//! One of `-ing` is told at once, and the endpoint's answer decides: any status but 2xx, or a body with
//! `veto`, refuses the change. One of `-ed` is written down in the transaction that makes it so, and a job
//! delivers it: at least once, in order for each plugin and endpoint, again and again with growing
//! pauses until it is taken or its attempts are used up. Then it is a dead letter, kept with what was
//! answered, and those behind it go on.
//!
//! Signatures and headers are those of Standard Webhooks ([`sign`]). Entry points: [`Webhooks`], the listener;
//! [`deliver::Deliver`], the job.

pub(crate) mod deliver;
pub(crate) mod endpoints;
pub(crate) mod listen;
pub(crate) mod post;
mod settings;
pub(crate) mod sign;

pub(crate) use listen::Webhooks;
pub use settings::WebhookSettings;
