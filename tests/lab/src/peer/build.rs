//! What is compiled on the spot: the floor, and the preload that lends a listener MPTCP.
//!
//! Called once by `run`. Owned by the run: the directory goes with the value.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::proxy::private_directory;
use anyhow::{Context, Result};

/// What a compiler made of the C beside the templates; nothing where there is none.
#[derive(Debug)]
pub struct Built {
    directory: PathBuf,
    /// The floor's program, or why there is none.
    pub floor: Result<PathBuf, String>,
    /// The preload, or why there is none.
    pub listen: Result<PathBuf, String>,
}

impl Built {
    /// Compiles both.
    ///
    /// Errors: only of the temporary directory; a compiler that is missing or fails is told in its product's place.
    pub fn new() -> Result<Self> {
        let directory = private_directory("bench")?;
        // Programs of another user will read it.
        fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .context("cannot open a directory to others")?;
        let floor = compile(&directory, "floor", include_str!("../../peers/floor.c"), &[]);
        let listen = compile(&directory, "listen.so", include_str!("../../peers/listen.c"), &["-shared", "-fPIC"]);
        Ok(Self { directory, floor, listen })
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        // A directory left in the temporary place is harmless.
        drop(fs::remove_dir_all(&self.directory));
    }
}

fn compile(directory: &Path, name: &str, source: &str, flags: &[&str]) -> Result<PathBuf, String> {
    let (from, to) = (directory.join(format!("{name}.c")), directory.join(name));
    fs::write(&from, source).map_err(|error| error.to_string())?;
    let output = Command::new("cc").args(["-O2", "-o"]).arg(&to).args(flags).arg(&from).arg("-ldl").output();
    let output = output.map_err(|error| format!("cc: {error}"))?;
    if output.status.success() { Ok(to) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
