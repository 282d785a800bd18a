//! Questions to a network device by ioctl.
//!
//! Source: Linux v6.18 `include/uapi/linux/ethtool.h`, `include/uapi/linux/sockios.h`; netdevice(7).

use std::mem::offset_of;

/// The ioctl that carries them.
pub(crate) const SIOCETHTOOL: libc::Ioctl = 0x8946;

/// `ETHTOOL_GSET`: speed and duplex.
pub(crate) const GSET: u32 = 0x01;
/// `ETHTOOL_GTSO`: whether the device, or the kernel for it, cuts long segments.
pub(crate) const GTSO: u32 = 0x1e;
/// `ETHTOOL_GGRO`: whether segments that come in are put together.
pub(crate) const GGRO: u32 = 0x2b;

/// Size of `struct ethtool_cmd`, and where its speed is: the lower and the upper half.
pub(crate) const COMMAND: usize = 44;
pub(crate) const SPEED_LOW: usize = 12;
pub(crate) const SPEED_HIGH: usize = 28;
/// Where `struct ethtool_value` has its value.
pub(crate) const VALUE: usize = 4;
/// `SPEED_UNKNOWN`.
pub(crate) const SPEED_UNKNOWN: u32 = u32::MAX;

const _: () = assert!(offset_of!(libc::ifreq, ifr_ifru) == libc::IFNAMSIZ);
