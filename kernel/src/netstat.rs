//! Counters of the network namespace (`/proc/net/netstat`).
//!
//! Source: Linux v6.18 `net/mptcp/mib.c` and `net/ipv4/proc.c`: two lines a group, names then values.

use std::io;

use thiserror::Error;

/// A counter file that cannot be read, or lacks a counter.
#[derive(Debug, Error)]
pub enum NetstatError {
    /// `/proc/net/netstat` cannot be read.
    #[error("/proc/net/netstat cannot be read")]
    Read(#[source] io::Error),
    /// The kernel has no such counter.
    #[error("the kernel has no counter {group}{name}")]
    Missing {
        /// The group, such as `MPTcpExt`.
        group: &'static str,
        /// The counter's name inside its group.
        name: &'static str,
    },
}

/// Reads `MPTcpExt` counters of the calling thread's network namespace, all at one moment.
///
/// Errors: [`NetstatError::Missing`] on a kernel without MPTCP or without one of these counters.
pub fn mptcp_counters<const N: usize>(names: [&'static str; N]) -> Result<[u64; N], NetstatError> {
    // /proc/net is the namespace of the process's main thread; thread-self is the caller's own.
    let text = std::fs::read_to_string("/proc/thread-self/net/netstat").map_err(NetstatError::Read)?;
    let mut values = [0; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = find(&text, "MPTcpExt:", name).ok_or(NetstatError::Missing { group: "MPTcpExt", name })?;
    }
    Ok(values)
}

/// Finds the value under `name` in the two lines that start with `group`.
fn find(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let column = lines.next()?.split_ascii_whitespace().position(|word| word == name)?;
    lines.next()?.split_ascii_whitespace().nth(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_under_its_own_name_and_group() {
        let text = "TcpExt: A B\nTcpExt: 1 2\nMPTcpExt: A C\nMPTcpExt: 3 4\n";
        assert_eq!(find(text, "MPTcpExt:", "C"), Some(4));
        assert_eq!(find(text, "MPTcpExt:", "A"), Some(3));
        assert_eq!(find(text, "MPTcpExt:", "B"), None);
    }

    #[test]
    fn this_kernel_counts_passive_fallbacks() {
        mptcp_counters(["MPCapableFallbackACK", "DataCsumErr"]).unwrap();
        assert!(matches!(mptcp_counters(["NoSuchCounter"]), Err(NetstatError::Missing { .. })));
    }
}
