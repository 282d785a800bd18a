//! Figures in words: evidence.

use std::time::Duration;

/// A rate, to three places: `38.2 Mbit/s`.
pub(crate) fn rate(bits: u64) -> String {
    scaled(bits, &[(1_000_000_000, "Gbit/s"), (1_000_000, "Mbit/s"), (1_000, "kbit/s")], "bit/s")
}

/// A number of bytes, to three places: `51.2 GB`.
pub(crate) fn bytes(bytes: u64) -> String {
    scaled(bytes, &[(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")], "B")
}

/// A time, as finely as matters: `1.2 s`, `35 ms`.
pub(crate) fn time(time: Duration) -> String {
    let millis = time.as_millis();
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        _ => format!("{} min", millis / 60_000),
    }
}

/// Thousandths, as percent: `3.1 %`.
pub(crate) fn percent(per_mille: u64) -> String {
    if per_mille.is_multiple_of(10) {
        format!("{} %", per_mille / 10)
    } else {
        format!("{}.{} %", per_mille / 10, per_mille % 10)
    }
}

fn scaled(value: u64, units: &[(u64, &str)], base: &str) -> String {
    let Some((worth, unit)) = units.iter().find(|(worth, _)| value >= *worth) else {
        return format!("{value} {base}");
    };
    let (whole, tenth) = (value / worth, value % worth * 10 / worth);
    if whole >= 100 || tenth == 0 { format!("{whole} {unit}") } else { format!("{whole}.{tenth} {unit}") }
}

#[cfg(test)]
mod tests;
