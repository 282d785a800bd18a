//! The names of the options.

use std::fmt;
use std::str::FromStr;

use super::MptcpOption;

/// Which MPTCP option it is.
///
/// Source:  RFC 8684 §7.2
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subtype {
    /// 0: MP_CAPABLE.
    Capable,
    /// 1: MP_JOIN.
    Join,
    /// 2: DSS.
    Dss,
    /// 3: ADD_ADDR.
    AddAddr,
    /// 4: REMOVE_ADDR.
    RemoveAddr,
    /// 5: MP_PRIO.
    Prio,
    /// 6: MP_FAIL.
    Fail,
    /// 7: MP_FASTCLOSE.
    FastClose,
    /// 8: MP_TCPRST.
    TcpRst,
    /// 9 to 15: unassigned, or for private experiments.
    Other(u8),
}

/// A text that names no subtype.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an MPTCP option; expected a name such as MP_JOIN or DSS, or a number up to 15")]
pub struct NotASubtype;

impl Subtype {
    const NAMED: [(Self, &'static str); 9] = [
        (Self::Capable, "MP_CAPABLE"),
        (Self::Join, "MP_JOIN"),
        (Self::Dss, "DSS"),
        (Self::AddAddr, "ADD_ADDR"),
        (Self::RemoveAddr, "REMOVE_ADDR"),
        (Self::Prio, "MP_PRIO"),
        (Self::Fail, "MP_FAIL"),
        (Self::FastClose, "MP_FASTCLOSE"),
        (Self::TcpRst, "MP_TCPRST"),
    ];

    /// The subtype of a number; only the low four bits count.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        let number = number & 0x0f;
        Self::NAMED.get(usize::from(number)).map_or(Self::Other(number), |(subtype, _)| *subtype)
    }

    /// Its name in the RFC; `unassigned` when it has none.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capable => "MP_CAPABLE",
            Self::Join => "MP_JOIN",
            Self::Dss => "DSS",
            Self::AddAddr => "ADD_ADDR",
            Self::RemoveAddr => "REMOVE_ADDR",
            Self::Prio => "MP_PRIO",
            Self::Fail => "MP_FAIL",
            Self::FastClose => "MP_FASTCLOSE",
            Self::TcpRst => "MP_TCPRST",
            Self::Other(_) => "unassigned",
        }
    }
}

impl MptcpOption<'_> {
    /// Which option it is.
    #[must_use]
    pub const fn subtype(&self) -> Subtype {
        match self {
            Self::Capable(_) => Subtype::Capable,
            Self::Join(_) => Subtype::Join,
            Self::Dss(_) => Subtype::Dss,
            Self::AddAddr(_) => Subtype::AddAddr,
            Self::RemoveAddr(_) => Subtype::RemoveAddr,
            Self::Prio(_) => Subtype::Prio,
            Self::Fail(_) => Subtype::Fail,
            Self::FastClose(_) => Subtype::FastClose,
            Self::TcpRst(_) => Subtype::TcpRst,
            Self::Unknown(unknown) => Subtype::Other(unknown.subtype),
        }
    }
}

impl fmt::Display for Subtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(number) => write!(f, "subtype {number}"),
            named => f.write_str(named.as_str()),
        }
    }
}

impl FromStr for Subtype {
    type Err = NotASubtype;

    /// Takes the RFC's name in any case, or the number.
    fn from_str(text: &str) -> Result<Self, NotASubtype> {
        if let Some((subtype, _)) = Self::NAMED.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
            return Ok(*subtype);
        }
        match text.parse() {
            Ok(number @ 0..=15) => Ok(Self::from_number(number)),
            _ => Err(NotASubtype),
        }
    }
}
