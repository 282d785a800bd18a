//! A number and its unit: the one parser and the one printer behind rates, sizes and times.

use super::{Invalid, shown};

/// A unit's name and its worth in the base unit.
pub(super) type Unit = (&'static str, u64);

/// A kind of quantity: how it is written.
pub(super) struct Kind {
    /// Units, the ones to print in first. The last is the base unit.
    pub(super) units: &'static [Unit],
    /// Spellings people use that we refuse, and what to say.
    pub(super) hints: &'static [(&'static str, &'static str)],
    /// What a right value looks like.
    pub(super) expected: &'static str,
}

impl Kind {
    /// Parses `<decimal> <unit>`; the product must be a whole, positive number of base units.
    pub(super) fn parse(&self, text: &str) -> Result<u64, Invalid> {
        let wrong = |what: String| Invalid::new(what, self.expected);
        let text = text.trim();
        if text.starts_with('-') {
            return Err(wrong("negative".into()));
        }
        let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let unit = unit.trim_start();
        if number.is_empty() {
            return Err(wrong("no number in front".into()));
        }
        if unit.is_empty() {
            return Err(wrong("no unit".into()));
        }
        let Some((_, worth)) = self.units.iter().find(|(name, _)| *name == unit) else {
            let hint = self.hints.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
            return Err(match hint {
                Some((_, say)) => wrong(format!("unknown unit \"{}\": {say}", shown(unit))),
                None => {
                    let names: Vec<_> = self.units.iter().rev().map(|(name, _)| *name).collect();
                    wrong(format!("unknown unit \"{}\" (known: {})", shown(unit), names.join(", ")))
                }
            });
        };
        let value = decimal(number, *worth).map_err(|what| wrong(what.into()))?;
        if value == 0 { Err(wrong("zero".into())) } else { Ok(value) }
    }

    /// Prints in the first unit that needs no fraction.
    pub(super) fn print(&self, value: u64, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let exact = self.units.iter().find(|(_, worth)| value.is_multiple_of(*worth));
        let (name, worth) = exact.copied().unwrap_or(("", 1));
        write!(f, "{} {name}", value / worth)
    }
}

/// `number × worth` as a whole number, or why not.
fn decimal(number: &str, worth: u64) -> Result<u64, &'static str> {
    const LARGE: &str = "too large";
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err("not a number");
    }
    let fraction = fraction.trim_end_matches('0');
    // Twelve digits divide every unit there is; more can only be inexact (or absurd), and 10^12 keeps the product within u128.
    if fraction.len() > 12 {
        return Err("not exact in this unit");
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(12));
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| LARGE)? };
    let parts = parts * u128::from(worth);
    if !parts.is_multiple_of(scale) {
        return Err("not exact in this unit");
    }
    let whole: u64 = whole.parse().map_err(|_| LARGE)?;
    let sum = u128::from(whole) * u128::from(worth) + parts / scale;
    u64::try_from(sum).map_err(|_| LARGE)
}
