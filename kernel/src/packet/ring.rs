//! A receive ring (TPACKET_V3): frames in memory shared with the kernel, handed over a block at a time.
//!
//! Called by whoever watches a wire that carries more than one system call a frame could keep up with.
//! Invariant: frames are read only while their block is ours; a block goes back to the kernel exactly when it is dropped.
//! Frames may be longer than what was captured of them, and than any packet of the wire: with segmentation offload, sent
//! and received frames, and all of loopback's and veth's, are up to 64 KiB and more; [`Frame::wire_len`] tells.
//! Source: Linux v6.18 `Documentation/networking/packet_mmap.rst`, `include/uapi/linux/if_packet.h`.

mod mapping;

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::time::Duration;

use crate::fields::Fields;

use self::mapping::Mapping;
use super::{Instruction, PacketError, PacketSocket, c, len_of};

/// Offsets inside a block's descriptor.
mod block {
    use super::offset_of;
    use libc::{tpacket_block_desc as Block, tpacket_hdr_v1 as Header};

    const HEADER: usize = offset_of!(Block, hdr);
    pub(super) const STATUS: usize = HEADER + offset_of!(Header, block_status);
    pub(super) const FRAMES: usize = HEADER + offset_of!(Header, num_pkts);
    pub(super) const FIRST: usize = HEADER + offset_of!(Header, offset_to_first_pkt);
}

/// Offsets inside a frame's header.
mod frame {
    use super::{offset_of, size_of};
    use libc::{sockaddr_ll as Address, tpacket_hdr_variant1 as Variant, tpacket3_hdr as Header};

    pub(super) const NEXT: usize = offset_of!(Header, tp_next_offset);
    pub(super) const SECONDS: usize = offset_of!(Header, tp_sec);
    pub(super) const NANOSECONDS: usize = offset_of!(Header, tp_nsec);
    pub(super) const CAPTURED: usize = offset_of!(Header, tp_snaplen);
    pub(super) const LENGTH: usize = offset_of!(Header, tp_len);
    pub(super) const STATUS: usize = offset_of!(Header, tp_status);
    pub(super) const MAC: usize = offset_of!(Header, tp_mac);
    pub(super) const VLAN: usize = offset_of!(Header, hv1) + offset_of!(Variant, tp_vlan_tci);
    /// The address follows the header, which is a multiple of TPACKET_ALIGNMENT long.
    const ADDRESS: usize = size_of::<Header>();
    pub(super) const INTERFACE: usize = ADDRESS + offset_of!(Address, sll_ifindex);
    pub(super) const KIND: usize = ADDRESS + offset_of!(Address, sll_pkttype);
    const _: () = assert!(ADDRESS == 48 && ADDRESS.is_multiple_of(libc::TPACKET_ALIGNMENT));
}

const _: () = assert!(size_of::<libc::tpacket_block_desc>() == 48 && block::STATUS == 8);

/// `TP_STATUS_USER`: the block is ours.
const USER: u32 = 1 << 0;
/// `TP_STATUS_VLAN_VALID`: a tag was taken off the frame.
const VLAN_VALID: u32 = 1 << 4;
/// Only divides a block into the frames its size is checked against; frames take the space they need.
const FRAME_SIZE: u32 = 2048;

/// How large a ring is, and how soon it speaks.
///
/// Shape: the default holds 4 MiB, some sixteen thousand frames of [`super::filter::SNAP_LENGTH`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingOptions {
    /// Bytes of a block. Shape: a multiple of the page size, which is a power of two of pages for the kernel's sake.
    pub block_size: u32,
    /// Blocks.
    pub blocks: u32,
    /// A block that is not full is handed over after this long. Units: whole milliseconds, one at least.
    pub retire: Duration,
    /// Leaves out what this machine sends. Kernel: v4.20.
    pub ignore_outgoing: bool,
}

impl Default for RingOptions {
    fn default() -> Self {
        Self { block_size: 128 << 10, blocks: 32, retire: Duration::from_millis(20), ignore_outgoing: false }
    }
}

/// What a ring's socket counted since the last time it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Frames that passed the filter, those dropped included.
    pub packets: u32,
    /// Of them, dropped because every block was ours.
    pub drops: u32,
    /// Times the ring stood still for that.
    pub freezes: u32,
}

/// A receive ring on one interface.
///
/// Shape: waiting is the caller's; the descriptor is readable while a block is ours to read.
#[derive(Debug)]
pub struct PacketRing {
    socket: PacketSocket,
    mapping: Mapping,
    block_size: usize,
    blocks: usize,
    next: usize,
}

impl PacketRing {
    /// Opens a ring on `interface`, in the calling thread's network namespace, for the frames `filter` lets through and
    /// as much of each as it says.
    ///
    /// Errors: [`PacketError`] — no such interface, no CAP_NET_RAW, a size or a program the kernel refuses.
    /// Kernel: CAP_NET_RAW.
    pub fn open(interface: &str, filter: &[Instruction], options: RingOptions) -> Result<Self, PacketError> {
        let (socket, index) = PacketSocket::unbound(interface)?;
        // The filter first: nothing else may ever get into the ring.
        socket.set_filter(filter)?;
        if options.ignore_outgoing {
            socket.set_ignore_outgoing(true)?;
        }
        socket.set(
            libc::SOL_PACKET,
            libc::PACKET_VERSION,
            libc::tpacket_versions::TPACKET_V3 as i32,
            "PACKET_VERSION",
        )?;
        request(&socket, options)?;
        let (block_size, blocks): (usize, usize) = (c(options.block_size), c(options.blocks));
        let mapping =
            Mapping::of(socket.as_fd(), block_size.saturating_mul(blocks)).map_err(|e| socket.error("mmap", e))?;
        socket.bind(index, c(libc::ETH_P_ALL))?;
        Ok(Self { socket, mapping, block_size, blocks, next: 0 })
    }

    /// The next block that is ours to read, without waiting.
    pub fn next_block(&mut self) -> Option<Block<'_>> {
        let start = self.next * self.block_size;
        if self.mapping.status(start + block::STATUS) & USER == 0 {
            return None;
        }
        Some(Block { ring: self, start })
    }

    /// What was counted since the last call.
    pub fn take_statistics(&self) -> Result<Statistics, PacketError> {
        let mut counted = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let mut length = len_of(&counted);
        // SAFETY: the pointer and the length describe `counted`; the kernel writes at most that many bytes.
        let done = unsafe {
            libc::getsockopt(
                self.socket.as_fd().as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut counted).cast(),
                &raw mut length,
            )
        };
        if done < 0 {
            return Err(self.socket.error("PACKET_STATISTICS", io::Error::last_os_error()));
        }
        let libc::tpacket_stats_v3 { tp_packets, tp_drops, tp_freeze_q_cnt } = counted;
        Ok(Statistics { packets: tp_packets, drops: tp_drops, freezes: tp_freeze_q_cnt })
    }
}

/// Asks the kernel for the ring's memory.
fn request(socket: &PacketSocket, options: RingOptions) -> Result<(), PacketError> {
    let request = libc::tpacket_req3 {
        tp_block_size: options.block_size,
        tp_block_nr: options.blocks,
        tp_frame_size: FRAME_SIZE,
        tp_frame_nr: (options.block_size / FRAME_SIZE).saturating_mul(options.blocks),
        tp_retire_blk_tov: u32::try_from(options.retire.as_millis()).unwrap_or(u32::MAX).max(1),
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    // SAFETY: the pointer and the length describe `request`, which outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_RX_RING,
            (&raw const request).cast(),
            len_of(&request),
        )
    };
    if done < 0 { Err(socket.error("PACKET_RX_RING", io::Error::last_os_error())) } else { Ok(()) }
}

impl AsFd for PacketRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Frames that are ours until this is dropped.
#[derive(Debug)]
pub struct Block<'a> {
    ring: &'a mut PacketRing,
    start: usize,
}

impl Block<'_> {
    /// The frames, in their order.
    #[must_use]
    pub fn frames(&self) -> Frames<'_> {
        // SAFETY: the kernel gave the block to us (its status was read with acquire order) and does not touch it until
        // `drop` below gives it back, which the borrow of `self` forbids meanwhile; the range is within the mapping.
        let bytes = unsafe { self.ring.mapping.bytes(self.start, self.ring.block_size) };
        let of = Fields(bytes);
        Frames { bytes, left: of.u32(block::FRAMES).unwrap_or(0), at: c(of.u32(block::FIRST).unwrap_or(0)) }
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        self.ring.mapping.give_back(self.start + block::STATUS);
        self.ring.next = (self.ring.next + 1) % self.ring.blocks;
    }
}

/// One captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What was captured of it, from its link-layer header on.
    pub captured: &'a [u8],
    /// Bytes it had.
    pub wire_len: usize,
    /// When the kernel saw it.
    ///
    /// Units: time since the Unix epoch.
    pub at: Duration,
    /// Whether this machine sent it.
    pub outgoing: bool,
    /// Number of the interface.
    pub interface: u32,
    /// The tag (priority, drop eligibility, VLAN) that was taken off the frame before it was captured.
    pub vlan: Option<u16>,
}

/// The frames of a block.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    left: u32,
    at: usize,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let whole = self.bytes.get(self.at..)?;
        let of = Fields(whole);
        let u32_at = |at| of.u32(at);
        let captured: usize = c(u32_at(frame::CAPTURED)?);
        let start = usize::from(of.u16(frame::MAC)?);
        let seconds = u64::from(u32_at(frame::SECONDS)?);
        let found = Frame {
            captured: whole.get(start..)?.get(..captured)?,
            wire_len: c(u32_at(frame::LENGTH)?),
            at: Duration::from_secs(seconds) + Duration::from_nanos(u64::from(u32_at(frame::NANOSECONDS)?)),
            outgoing: of.u8(frame::KIND)? == libc::PACKET_OUTGOING,
            interface: u32_at(frame::INTERFACE)?,
            vlan: (u32_at(frame::STATUS)? & VLAN_VALID != 0).then(|| of.u16(frame::VLAN)).flatten(),
        };
        // The last frame's is zero; then nothing is left either.
        self.at = self.at.saturating_add(c::<_, usize>(u32_at(frame::NEXT)?));
        Some(found)
    }
}

#[cfg(test)]
mod tests;
