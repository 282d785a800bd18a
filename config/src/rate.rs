//! Rates that packets can be held to.

use crate::read::Section;
use crate::unit::BitRate;

/// A full packet takes a second and a half: less is no rate but an outage.
///
/// Units:   bit/s
pub(crate) const LEAST: u64 = 8_000;
/// No link is faster; and sums and products of rates stay far within 64 bits.
///
/// Units:   bit/s
pub(crate) const MOST: u64 = 1_000_000_000_000;

/// The rate under a key; reports one that no link has and no packet obeys.
pub(crate) fn read(section: &mut Section<'_>, key: &'static str) -> Option<BitRate> {
    let rate: BitRate = section.get(key)?;
    if (LEAST..=MOST).contains(&rate.bits_per_second()) {
        return Some(rate);
    }
    section.refuse(key, "out of range", "expected \"8 kbit/s\" to \"1000 Gbit/s\"");
    None
}
