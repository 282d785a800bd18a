//! Socket diagnostics: requests, answers, and the structures they carry.
//!
//! Source: Linux v6.18 `include/uapi/linux/inet_diag.h`, `include/uapi/linux/sock_diag.h`, `include/uapi/linux/mptcp.h`,
//! `include/uapi/linux/tcp.h`.

/// Asks for the sockets of one address family.
pub(crate) const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// Size of `struct inet_diag_req_v2`.
pub(crate) const REQUEST: usize = 56;
/// Size of `struct inet_diag_msg`.
pub(crate) const MESSAGE: usize = 72;

/// Byte offsets inside `struct inet_diag_req_v2`.
pub(crate) mod request {
    pub(crate) const FAMILY: usize = 0;
    pub(crate) const PROTOCOL: usize = 1;
    pub(crate) const EXT: usize = 2;
    pub(crate) const STATES: usize = 4;
    /// `id.idiag_sport`, in network order, as the three that follow.
    pub(crate) const LOCAL_PORT: usize = 8;
    pub(crate) const REMOTE_PORT: usize = 10;
    pub(crate) const LOCAL: usize = 12;
    pub(crate) const REMOTE: usize = 28;
    pub(crate) const INTERFACE: usize = 44;
    pub(crate) const COOKIE: usize = 48;
}

/// Byte offsets inside `struct inet_diag_msg`.
pub(crate) mod message {
    pub(crate) const FAMILY: usize = 0;
    pub(crate) const STATE: usize = 1;
    /// `id.idiag_sport`, in network order, as the three that follow.
    pub(crate) const LOCAL_PORT: usize = 4;
    pub(crate) const REMOTE_PORT: usize = 6;
    pub(crate) const LOCAL: usize = 8;
    pub(crate) const REMOTE: usize = 24;
    pub(crate) const INTERFACE: usize = 40;
    pub(crate) const COOKIE: usize = 44;
    pub(crate) const RECEIVE_QUEUE: usize = 56;
    pub(crate) const SEND_QUEUE: usize = 60;
    pub(crate) const UID: usize = 64;
    pub(crate) const INODE: usize = 68;
}

/// `INET_DIAG_REQ_PROTOCOL`: a protocol number too large for the request's own field.
pub(crate) const REQ_PROTOCOL: u16 = 3;

/// `INET_DIAG_*`: the attributes of an answer. Those below 9 are asked for by bit `n - 1` of the request's `ext`.
pub(crate) mod attr {
    /// `struct tcp_info` of a TCP socket, `struct mptcp_info` of an MPTCP one.
    pub(crate) const INFO: u16 = 2;
    /// Name of the congestion control.
    pub(crate) const CONG: u16 = 4;
    /// What the upper layer protocol says.
    pub(crate) const ULP_INFO: u16 = 19;
}

/// `INET_ULP_INFO_MPTCP`: the nest of `MPTCP_SUBFLOW_ATTR_*`.
pub(crate) const ULP_INFO_MPTCP: u16 = 3;

/// `MPTCP_SUBFLOW_ATTR_*`.
pub(crate) mod subflow_attr {
    pub(crate) const TOKEN_REM: u16 = 1;
    pub(crate) const TOKEN_LOC: u16 = 2;
    pub(crate) const RELWRITE_SEQ: u16 = 3;
    pub(crate) const MAP_SEQ: u16 = 4;
    pub(crate) const MAP_SFSEQ: u16 = 5;
    pub(crate) const SSN_OFFSET: u16 = 6;
    pub(crate) const MAP_DATALEN: u16 = 7;
    pub(crate) const FLAGS: u16 = 8;
    pub(crate) const ID_REM: u16 = 9;
    pub(crate) const ID_LOC: u16 = 10;
}

/// `MPTCP_SUBFLOW_FLAG_*`.
pub(crate) mod subflow_flag {
    pub(crate) const MCAP_REM: u32 = 1 << 0;
    pub(crate) const MCAP_LOC: u32 = 1 << 1;
    pub(crate) const JOIN_REM: u32 = 1 << 2;
    pub(crate) const JOIN_LOC: u32 = 1 << 3;
    pub(crate) const BKUP_REM: u32 = 1 << 4;
    pub(crate) const BKUP_LOC: u32 = 1 << 5;
    pub(crate) const FULLY_ESTABLISHED: u32 = 1 << 6;
    pub(crate) const CONNECTED: u32 = 1 << 7;
    pub(crate) const MAPVALID: u32 = 1 << 8;
}

/// Byte offsets inside `struct tcp_info`; fields are only ever appended.
pub(crate) mod tcp_info {
    pub(crate) const STATE: usize = 0;
    pub(crate) const CA_STATE: usize = 1;
    pub(crate) const RETRANSMITS: usize = 2;
    pub(crate) const BACKOFF: usize = 4;
    pub(crate) const RTO: usize = 8;
    pub(crate) const SND_MSS: usize = 16;
    pub(crate) const UNACKED: usize = 24;
    pub(crate) const LOST: usize = 32;
    pub(crate) const RETRANS: usize = 36;
    pub(crate) const LAST_DATA_SENT: usize = 44;
    pub(crate) const LAST_DATA_RECV: usize = 52;
    pub(crate) const LAST_ACK_RECV: usize = 56;
    pub(crate) const PMTU: usize = 60;
    pub(crate) const RTT: usize = 68;
    pub(crate) const RTTVAR: usize = 72;
    pub(crate) const SND_SSTHRESH: usize = 76;
    pub(crate) const SND_CWND: usize = 80;
    pub(crate) const TOTAL_RETRANS: usize = 100;
    /// Since v3.15, as the next.
    pub(crate) const PACING_RATE: usize = 104;
    pub(crate) const MAX_PACING_RATE: usize = 112;
    /// Since v4.1, as the next.
    pub(crate) const BYTES_ACKED: usize = 120;
    pub(crate) const BYTES_RECEIVED: usize = 128;
    /// Since v4.2, as the next.
    pub(crate) const SEGS_OUT: usize = 136;
    pub(crate) const SEGS_IN: usize = 140;
    /// Since v4.6, as the next.
    pub(crate) const NOTSENT_BYTES: usize = 144;
    pub(crate) const MIN_RTT: usize = 148;
    /// Since v4.9.
    pub(crate) const DELIVERY_RATE: usize = 160;
    /// Since v4.10, as the next two; microseconds.
    pub(crate) const BUSY_TIME: usize = 168;
    pub(crate) const RWND_LIMITED: usize = 176;
    pub(crate) const SNDBUF_LIMITED: usize = 184;
    /// Since v4.19, as the next.
    pub(crate) const BYTES_SENT: usize = 200;
    pub(crate) const BYTES_RETRANS: usize = 208;
    /// Since v5.4.
    pub(crate) const SND_WND: usize = 228;

    use std::mem::offset_of;
    const _: () = {
        assert!(offset_of!(libc::tcp_info, tcpi_state) == STATE);
        assert!(offset_of!(libc::tcp_info, tcpi_ca_state) == CA_STATE);
        assert!(offset_of!(libc::tcp_info, tcpi_retransmits) == RETRANSMITS);
        assert!(offset_of!(libc::tcp_info, tcpi_retrans) == RETRANS);
        assert!(offset_of!(libc::tcp_info, tcpi_last_data_recv) == LAST_DATA_RECV);
        assert!(offset_of!(libc::tcp_info, tcpi_snd_ssthresh) == SND_SSTHRESH);
        assert!(offset_of!(libc::tcp_info, tcpi_backoff) == BACKOFF);
        assert!(offset_of!(libc::tcp_info, tcpi_rto) == RTO);
        assert!(offset_of!(libc::tcp_info, tcpi_snd_mss) == SND_MSS);
        assert!(offset_of!(libc::tcp_info, tcpi_unacked) == UNACKED);
        assert!(offset_of!(libc::tcp_info, tcpi_lost) == LOST);
        assert!(offset_of!(libc::tcp_info, tcpi_last_data_sent) == LAST_DATA_SENT);
        assert!(offset_of!(libc::tcp_info, tcpi_last_ack_recv) == LAST_ACK_RECV);
        assert!(offset_of!(libc::tcp_info, tcpi_pmtu) == PMTU);
        assert!(offset_of!(libc::tcp_info, tcpi_rtt) == RTT);
        assert!(offset_of!(libc::tcp_info, tcpi_rttvar) == RTTVAR);
        assert!(offset_of!(libc::tcp_info, tcpi_snd_cwnd) == SND_CWND);
        assert!(offset_of!(libc::tcp_info, tcpi_total_retrans) == TOTAL_RETRANS);
    };
    // Other C libraries end before these.
    #[cfg(target_env = "gnu")]
    const _: () = {
        assert!(offset_of!(libc::tcp_info, tcpi_pacing_rate) == PACING_RATE);
        assert!(offset_of!(libc::tcp_info, tcpi_max_pacing_rate) == MAX_PACING_RATE);
        assert!(offset_of!(libc::tcp_info, tcpi_bytes_acked) == BYTES_ACKED);
        assert!(offset_of!(libc::tcp_info, tcpi_bytes_received) == BYTES_RECEIVED);
        assert!(offset_of!(libc::tcp_info, tcpi_segs_out) == SEGS_OUT);
        assert!(offset_of!(libc::tcp_info, tcpi_segs_in) == SEGS_IN);
        assert!(offset_of!(libc::tcp_info, tcpi_notsent_bytes) == NOTSENT_BYTES);
        assert!(offset_of!(libc::tcp_info, tcpi_min_rtt) == MIN_RTT);
        assert!(offset_of!(libc::tcp_info, tcpi_delivery_rate) == DELIVERY_RATE);
        assert!(offset_of!(libc::tcp_info, tcpi_busy_time) == BUSY_TIME);
        assert!(offset_of!(libc::tcp_info, tcpi_rwnd_limited) == RWND_LIMITED);
        assert!(offset_of!(libc::tcp_info, tcpi_sndbuf_limited) == SNDBUF_LIMITED);
        assert!(offset_of!(libc::tcp_info, tcpi_bytes_sent) == BYTES_SENT);
        assert!(offset_of!(libc::tcp_info, tcpi_bytes_retrans) == BYTES_RETRANS);
        assert!(offset_of!(libc::tcp_info, tcpi_snd_wnd) == SND_WND);
    };
}
