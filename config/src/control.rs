//! `[control]`: the Unix socket that the command line talks to.

use std::path::PathBuf;

use crate::read::Section;
use crate::read::value::OrOff;

/// Where the control socket is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ControlSocket {
    /// Chosen at start, by who runs the process.
    #[default]
    Default,
    /// There is none.
    Off,
    /// At this path.
    At(PathBuf),
}

/// The Unix socket that the command line talks to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Control {
    /// Where it is.
    pub socket: ControlSocket,
    /// The group whose members may use it, by name or number. `None`: only the user that runs the process, and root.
    pub group: Option<String>,
}

impl Control {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let socket = match section.get::<OrOff<PathBuf>>("socket") {
            None => ControlSocket::Default,
            Some(OrOff::Off) => ControlSocket::Off,
            Some(OrOff::On(path)) => ControlSocket::At(section.directory().join(path)),
        };
        if let ControlSocket::At(path) = &socket {
            section.refuse_long_socket("socket", Some(path));
        }
        let group = section.get::<String>("group");
        let odd = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if let Some(name) = &group
            && (name.is_empty() || name.len() > 32 || name.starts_with('-') || name.contains(odd))
        {
            section.refuse("group", "not a group", "expected the name or number of a group such as \"anabranch\"");
        }
        Self { socket, group }
    }
}
