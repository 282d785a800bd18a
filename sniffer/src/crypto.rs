//! What keys say: tokens, initial data sequence numbers, and proofs of knowing them.
//!
//! What lives here: functions of keys and nonces. What does not: remembering keys (`track`). Called by the tracker. Invariant:
//! nothing is compared here, so that no caller takes a computed value for a verified one.

use std::net::IpAddr;

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::id::{AddrId, Token};
use crate::wire::mptcp::Key;

/// The token of the end that chose `key`.
///
/// Source:  RFC 8684 §3.2; RFC 6824 §3.2 (version 0: SHA-1)
#[must_use]
pub fn token(key: Key, version: u8) -> Token {
    let digest = digest(key, version);
    Token(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
}

/// The initial data sequence number of the end that chose `key`.
///
/// Source:  RFC 8684 §3.1; RFC 6824 §3.1 (version 0: SHA-1)
#[must_use]
pub fn idsn(key: Key, version: u8) -> u64 {
    digest(key, version).iter().rev().take(8).rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The proof of an MP_JOIN, of which the SYN/ACK carries the leftmost 8 bytes and the ACK all.
///
/// Source:  RFC 8684 §3.2; RFC 6824 §3.2 (version 0: SHA-1)
#[must_use]
pub fn join_hmac(own_key: Key, peer_key: Key, own_nonce: u32, peer_nonce: u32, version: u8) -> [u8; 20] {
    let message = [own_nonce.to_be_bytes(), peer_nonce.to_be_bytes()].concat();
    let mut proof = [0; 20];
    match version {
        0 => proof.copy_from_slice(&authenticate::<Hmac<Sha1>>(own_key, peer_key, &message)),
        _ => proof.copy_from_slice(&authenticate::<Hmac<Sha256>>(own_key, peer_key, &message)[..20]),
    }
    proof
}

/// The proof of an ADD_ADDR: the rightmost 8 bytes.
///
/// Source:  RFC 8684 §3.4.1
#[must_use]
pub fn add_addr_hmac(
    sender_key: Key,
    receiver_key: Key,
    addr_id: AddrId,
    address: IpAddr,
    port: Option<u16>,
) -> [u8; 8] {
    let mut message = vec![addr_id.0];
    match address {
        IpAddr::V4(address) => message.extend(address.octets()),
        IpAddr::V6(address) => message.extend(address.octets()),
    }
    message.extend(port.unwrap_or(0).to_be_bytes());
    let mut proof = [0; 8];
    proof.copy_from_slice(&authenticate::<Hmac<Sha256>>(sender_key, receiver_key, &message)[24..]);
    proof
}

fn digest(key: Key, version: u8) -> Vec<u8> {
    match version {
        0 => Sha1::digest(key.0).to_vec(),
        _ => Sha256::digest(key.0).to_vec(),
    }
}

fn authenticate<M: Mac + hmac::digest::KeyInit>(first: Key, second: Key, message: &[u8]) -> Vec<u8> {
    let key = [first.0, second.0].concat();
    // An HMAC takes a key of any length.
    let Ok(mut mac) = <M as Mac>::new_from_slice(&key) else { return Vec::new() };
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}
