//! What the kernel knows of one TCP flow (`struct tcp_info`), as far as this kernel's structure goes.
//!
//! Called by the socket options and the socket dumps, which get the same structure.

use std::time::Duration;

use crate::abi::sock_diag::tcp_info as at;
use crate::fields::Fields;

/// State of a TCP socket.
///
/// Source: Linux v6.18 `include/net/tcp_states.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TcpState {
    /// Both sides may send.
    Established = 1,
    /// A SYN was sent.
    SynSent = 2,
    /// A SYN came and was answered.
    SynReceived = 3,
    /// We closed; our FIN is under way.
    FinWait1 = 4,
    /// We closed; the peer still sends.
    FinWait2 = 5,
    /// Over, but late segments may come.
    TimeWait = 6,
    /// Not connected.
    Closed = 7,
    /// The peer closed; we still may send.
    CloseWait = 8,
    /// Both closed; our FIN is under way.
    LastAck = 9,
    /// Waits for connections.
    Listen = 10,
    /// Both closed at once.
    Closing = 11,
    /// A request that is not a socket yet.
    NewSynReceived = 12,
    /// Bound, neither connected nor listening.
    BoundInactive = 13,
}

impl TcpState {
    /// The state of that number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        const ALL: [TcpState; 13] = [
            TcpState::Established,
            TcpState::SynSent,
            TcpState::SynReceived,
            TcpState::FinWait1,
            TcpState::FinWait2,
            TcpState::TimeWait,
            TcpState::Closed,
            TcpState::CloseWait,
            TcpState::LastAck,
            TcpState::Listen,
            TcpState::Closing,
            TcpState::NewSynReceived,
            TcpState::BoundInactive,
        ];
        ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// One TCP flow's measurements.
///
/// Shape: a field the kernel's structure does not reach is `None`; the first dozen are in every kernel that has MPTCP.
/// Units: bytes, segments, bytes a second; durations where the name says a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    /// State; `None` for a number this crate does not know.
    pub state: Option<TcpState>,
    /// State of congestion control: 0 open, 1 disorder, 2 reduced window, 3 recovery, 4 loss.
    pub ca_state: u8,
    /// Timeouts in a row of the segment now waited for.
    pub retransmits: u8,
    /// How often the timeout was doubled since the last answer.
    pub backoff: u8,
    /// Retransmission timeout.
    pub rto: Duration,
    /// Largest segment we send.
    pub snd_mss: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Segments taken to be lost.
    pub lost: u32,
    /// Segments sent again and not acknowledged.
    pub retrans: u32,
    /// Since data was last sent.
    pub last_data_sent: Duration,
    /// Since data was last received.
    pub last_data_recv: Duration,
    /// Since an acknowledgement was last received.
    pub last_ack_recv: Duration,
    /// Largest packet of the path.
    pub pmtu: u32,
    /// Smoothed round trip time.
    pub rtt: Duration,
    /// Its mean deviation.
    pub rttvar: Duration,
    /// Slow start's end, in segments; `i32::MAX` while there was no loss.
    pub snd_ssthresh: u32,
    /// Congestion window, in segments.
    pub snd_cwnd: u32,
    /// Segments sent again since the flow began.
    pub total_retrans: u32,
    /// Rate at which segments are let go; `u64::MAX` while nothing limits it.
    pub pacing_rate: Option<u64>,
    /// Most it may be (`SO_MAX_PACING_RATE`); `u64::MAX` while nothing limits it.
    pub max_pacing_rate: Option<u64>,
    /// Bytes the peer acknowledged, one for the SYN included at the active end.
    pub bytes_acked: Option<u64>,
    /// Bytes received in order.
    pub bytes_received: Option<u64>,
    /// Segments sent.
    pub segs_out: Option<u32>,
    /// Segments received.
    pub segs_in: Option<u32>,
    /// Bytes written and never sent.
    pub notsent_bytes: Option<u32>,
    /// Shortest round trip time of late; `u32::MAX` microseconds before the first measurement.
    pub min_rtt: Option<Duration>,
    /// Rate at which bytes reached the peer of late.
    pub delivery_rate: Option<u64>,
    /// Time spent sending, waits for the peer's window and for our own buffer included.
    pub busy_time: Option<Duration>,
    /// Of it, waiting for the peer's window.
    pub rwnd_limited: Option<Duration>,
    /// Of it, waiting for room in our own buffer.
    pub sndbuf_limited: Option<Duration>,
    /// Bytes of data sent, those sent again included.
    pub bytes_sent: Option<u64>,
    /// Bytes of data sent again.
    pub bytes_retrans: Option<u64>,
    /// The peer's window, in bytes.
    pub snd_wnd: Option<u32>,
}

impl TcpInfo {
    /// Reads the structure from the bytes the kernel wrote; `None` if they end before what every kernel has.
    pub(crate) fn parse(written: &[u8]) -> Option<Self> {
        let of = Fields(written);
        let millis = |at| of.u32(at).map(|n| Duration::from_millis(u64::from(n)));
        let micros = |at| of.u32(at).map(|n| Duration::from_micros(u64::from(n)));
        let long_micros = |at| of.u64(at).map(Duration::from_micros);
        Some(Self {
            state: TcpState::from_number(of.u8(at::STATE)?),
            ca_state: of.u8(at::CA_STATE)?,
            retransmits: of.u8(at::RETRANSMITS)?,
            backoff: of.u8(at::BACKOFF)?,
            rto: micros(at::RTO)?,
            snd_mss: of.u32(at::SND_MSS)?,
            unacked: of.u32(at::UNACKED)?,
            lost: of.u32(at::LOST)?,
            retrans: of.u32(at::RETRANS)?,
            last_data_sent: millis(at::LAST_DATA_SENT)?,
            last_data_recv: millis(at::LAST_DATA_RECV)?,
            last_ack_recv: millis(at::LAST_ACK_RECV)?,
            pmtu: of.u32(at::PMTU)?,
            rtt: micros(at::RTT)?,
            rttvar: micros(at::RTTVAR)?,
            snd_ssthresh: of.u32(at::SND_SSTHRESH)?,
            snd_cwnd: of.u32(at::SND_CWND)?,
            total_retrans: of.u32(at::TOTAL_RETRANS)?,
            pacing_rate: of.u64(at::PACING_RATE),
            max_pacing_rate: of.u64(at::MAX_PACING_RATE),
            bytes_acked: of.u64(at::BYTES_ACKED),
            bytes_received: of.u64(at::BYTES_RECEIVED),
            segs_out: of.u32(at::SEGS_OUT),
            segs_in: of.u32(at::SEGS_IN),
            notsent_bytes: of.u32(at::NOTSENT_BYTES),
            min_rtt: micros(at::MIN_RTT),
            delivery_rate: of.u64(at::DELIVERY_RATE),
            busy_time: long_micros(at::BUSY_TIME),
            rwnd_limited: long_micros(at::RWND_LIMITED),
            sndbuf_limited: long_micros(at::SNDBUF_LIMITED),
            bytes_sent: of.u64(at::BYTES_SENT),
            bytes_retrans: of.u64(at::BYTES_RETRANS),
            snd_wnd: of.u32(at::SND_WND),
        })
    }
}

#[cfg(test)]
mod tests;
