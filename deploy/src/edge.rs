//! The edge's doctor: is this machine fit to run anabranch, and what would make it so?
//!
//! Pure: [`Facts`] and a configuration in, [`Finding`]s out; findings in, a [`Plan`] out; a [`Journal`] in, the way back out. Looking at the
//! machine and changing it is `proxy/src/cli/edge/`. Invariant: a finding that is not in order says what was found, why it matters
//! and the command that mends it, where there is one; a plan changes nothing whose former value is not in its journal.

pub mod facts;
mod feature;
mod finding;
mod journal;
mod judge;
mod key;
mod plan;

pub use facts::Facts;
pub use feature::Feature;
pub use finding::{Finding, Mend, Report, Verdict};
pub use journal::{Journal, KeptFile, KeptSysctl, Undo, undo};
pub use judge::judge;
pub use key::Key;
pub use plan::{File, Plan, Setting, plan};
