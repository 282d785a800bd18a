//! The clock: whether anything keeps it right.
//!
//! Source: adjtimex(2).

use std::io;

/// Whether the kernel's clock is kept right by somebody (NTP, PTP), as whoever does it has told the kernel.
///
/// Errors: the kernel's.
/// Kernel: `adjtimex` that changes nothing takes no capability.
pub fn is_synchronised() -> io::Result<bool> {
    // SAFETY: timex is plain data, for which all zeroes is a value; modes of zero means to read.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a `timex` that outlives the call, exclusively ours.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_what_proc_tells_of_nobody() {
        // No second source is there everywhere: that the call is made as the kernel wants it, is.
        is_synchronised().unwrap();
    }
}
