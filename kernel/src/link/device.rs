//! What a device says of itself: how fast it is, and what it does with segments.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use socket2::{Domain, Socket, Type};

use crate::abi::ethtool as abi;
use crate::fields::Fields;

/// What a device says of itself; `None`: it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Device {
    /// Its speed.
    ///
    /// Units: Mbit/s.
    pub megabits: Option<u32>,
    /// Long segments are handed to it, and cut there (TSO).
    pub segmentation: Option<bool>,
    /// Segments that came in are put together (GRO).
    pub receive: Option<bool>,
}

/// Asks a device of this network namespace by its name.
///
/// Errors: no socket could be made; that there is no such device, or that it does not answer, is none.
/// Kernel: `SIOCETHTOOL`; no capability.
pub fn device(name: &str) -> io::Result<Device> {
    let socket = OwnedFd::from(Socket::new(Domain::IPV4, Type::DGRAM, None)?);
    let speed = ask(&socket, name, abi::GSET).and_then(|said| {
        let of = Fields(&said);
        Some(u32::from(of.u16(abi::SPEED_HIGH)?) << 16 | u32::from(of.u16(abi::SPEED_LOW)?))
    });
    let flag = |question| {
        let said = ask(&socket, name, question)?;
        Fields(&said).u32(abi::VALUE).map(|value| value != 0)
    };
    Ok(Device {
        megabits: speed.filter(|&speed| speed != abi::SPEED_UNKNOWN && speed != 0),
        segmentation: flag(abi::GTSO),
        receive: flag(abi::GGRO),
    })
}

/// One question; `None` if there is no answer.
fn ask(socket: &OwnedFd, name: &str, question: u32) -> Option<[u8; abi::COMMAND]> {
    let mut said = [0_u8; abi::COMMAND];
    said[..4].copy_from_slice(&question.to_ne_bytes());
    // SAFETY: ifreq is plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    if name.len() > room {
        return None;
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_data = said.as_mut_ptr().cast();
    // SAFETY: the name ends with a zero byte; the kernel writes no more than a `struct ethtool_cmd` or, for shorter questions, a
    // `struct ethtool_value` through the pointer inside, and `said` has room for either and outlives the call.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), abi::SIOCETHTOOL, &raw mut request) };
    (answer == 0).then_some(said)
}
