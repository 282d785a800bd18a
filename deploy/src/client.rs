//! A machine that uses anabranch over several access networks: its set-up, its doctor, what browsers are told.
//!
//! Pure: what was found in, steps, verdicts and texts out. What does not live here: looking, connecting, changing
//! (`proxy/src/cli/client`). Invariant: a step without its undoing is not a step; a verdict names the evidence it rests on.

pub mod doctor;
pub mod pac;
pub mod seen;
pub mod setup;
pub mod view;
