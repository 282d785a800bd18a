//! Netlink: headers, flags and the attributes of the generic netlink controller.
//!
//! The C library's constants are of type `int`; the fields that carry them are narrower. So they are restated here in the
//! field's type, and held against the library's when the crate is compiled.
//! Source: Linux v6.18 `include/uapi/linux/netlink.h`, `include/uapi/linux/genetlink.h`; netlink(7).

use std::mem::offset_of;

/// Size of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;
/// Size of `struct nlattr`.
pub(crate) const ATTRIBUTE_HEADER: usize = 4;
/// Size of `struct genlmsghdr`.
pub(crate) const GENERIC_HEADER: usize = 4;
/// Offset of the original header inside `struct nlmsgerr`, behind the error number.
pub(crate) const ERROR_ORIGINAL: usize = 4;

/// The message asks for something.
pub(crate) const NLM_F_REQUEST: u16 = 0x1;
/// The message is one of several; the last is `NLMSG_DONE`.
pub(crate) const NLM_F_MULTI: u16 = 0x2;
/// The sender wants an `NLMSG_ERROR`, of zero when all is well.
pub(crate) const NLM_F_ACK: u16 = 0x4;
/// What is dumped has changed meanwhile.
pub(crate) const NLM_F_DUMP_INTR: u16 = 0x10;
/// The request wants all there is.
pub(crate) const NLM_F_DUMP: u16 = 0x300;
/// The original message in an `NLMSG_ERROR` is cut to its header.
pub(crate) const NLM_F_CAPPED: u16 = 0x100;
/// An `NLMSG_ERROR` carries attributes behind the original message.
pub(crate) const NLM_F_ACK_TLVS: u16 = 0x200;

/// An error number, zero for an acknowledgement.
pub(crate) const NLMSG_ERROR: u16 = 2;
/// The end of a dump.
pub(crate) const NLMSG_DONE: u16 = 3;

/// `NLMSGERR_ATTR_MSG`: the kernel's own words about an error.
pub(crate) const NLMSGERR_ATTR_MSG: u16 = 1;

/// The attribute's payload is attributes.
pub(crate) const NLA_F_NESTED: u16 = 0x8000;
/// The part of an attribute's type that is not a flag.
pub(crate) const NLA_TYPE_MASK: u16 = 0x3fff;

/// The controller's own message type, known beforehand; smaller ones (`NLMSG_MIN_TYPE`) belong to netlink itself.
pub(crate) const GENL_ID_CTRL: u16 = 0x10;
/// Asks the controller for a family by its name.
pub(crate) const CTRL_CMD_GETFAMILY: u8 = 3;
/// Message type of the family.
pub(crate) const CTRL_ATTR_FAMILY_ID: u16 = 1;
/// Name of the family.
pub(crate) const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// Its multicast groups, a list of nests.
pub(crate) const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
/// Name of a group.
pub(crate) const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
/// Number of a group.
pub(crate) const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;

const _: () = {
    assert!(size_of::<libc::nlmsghdr>() == HEADER);
    assert!(size_of::<libc::nlattr>() == ATTRIBUTE_HEADER);
    assert!(size_of::<libc::genlmsghdr>() == GENERIC_HEADER);
    assert!(offset_of!(libc::nlmsgerr, msg) == ERROR_ORIGINAL);
    assert!(NLM_F_REQUEST as libc::c_int == libc::NLM_F_REQUEST);
    assert!(NLM_F_MULTI as libc::c_int == libc::NLM_F_MULTI);
    assert!(NLM_F_ACK as libc::c_int == libc::NLM_F_ACK);
    assert!(NLM_F_DUMP_INTR as libc::c_int == libc::NLM_F_DUMP_INTR);
    assert!(NLM_F_DUMP as libc::c_int == libc::NLM_F_DUMP);
    assert!(NLM_F_CAPPED as libc::c_int == libc::NLM_F_CAPPED);
    assert!(NLM_F_ACK_TLVS as libc::c_int == libc::NLM_F_ACK_TLVS);
    assert!(NLMSG_ERROR as libc::c_int == libc::NLMSG_ERROR);
    assert!(NLMSG_DONE as libc::c_int == libc::NLMSG_DONE);
    assert!(GENL_ID_CTRL as libc::c_int == libc::GENL_ID_CTRL);
    assert!(CTRL_CMD_GETFAMILY as libc::c_int == libc::CTRL_CMD_GETFAMILY);
    assert!(CTRL_ATTR_FAMILY_ID as libc::c_int == libc::CTRL_ATTR_FAMILY_ID);
    assert!(CTRL_ATTR_FAMILY_NAME as libc::c_int == libc::CTRL_ATTR_FAMILY_NAME);
    assert!(CTRL_ATTR_MCAST_GROUPS as libc::c_int == libc::CTRL_ATTR_MCAST_GROUPS);
    assert!(CTRL_ATTR_MCAST_GRP_NAME as libc::c_int == libc::CTRL_ATTR_MCAST_GRP_NAME);
    assert!(CTRL_ATTR_MCAST_GRP_ID as libc::c_int == libc::CTRL_ATTR_MCAST_GRP_ID);
};
