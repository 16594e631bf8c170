//! A load of many clients on one Socket.IO server, from one thread, and how the server bears it.
//!
//! `plan` says what is wanted, `script` what that is in bytes, `client` is one client without its socket, `line` one with it,
//! `run` all of them, and `progress` tells others how it goes. A load generator that is slower than the server measures itself:
//! the bytes that are sent and those that are waited for are made once, and replies are compared, not parsed.

mod client;
mod failure;
mod histogram;
mod line;
mod plan;
mod progress;
mod run;
mod script;
mod usage;

pub use failure::{Failure, FailureKind};
pub use histogram::{Counts, Histogram};
pub use plan::{Plan, Workload};
pub use progress::{Counter, Phase, Progress};
pub use run::{Mark, Report, run};
pub use usage::Usage;
