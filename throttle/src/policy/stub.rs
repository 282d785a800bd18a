//! Stand-in.
use std::sync::Arc;
use std::time::Duration;
#[derive(Debug, Clone)]
pub(crate) struct Schedule;
impl Schedule {
    pub(crate) fn contains(&self, _: Duration) -> bool { true }
    pub(crate) fn next_change(&self, _: Duration) -> Option<Duration> { None }
}
#[derive(Debug, Clone)]
pub(crate) struct UsedRule { pub(crate) above: u64, pub(crate) per: Option<CalendarSpan> }
#[derive(Debug, Clone)]
pub(crate) struct CalendarSpan { pub(crate) label: Arc<str> }
impl CalendarSpan {
    pub(crate) fn words(&self) -> &str { &self.label }
    pub(crate) fn start(&self, _: Duration) -> Duration { Duration::ZERO }
    pub(crate) fn end(&self, _: Duration) -> Duration { Duration::MAX }
}
impl std::fmt::Display for Schedule { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("x") } }
