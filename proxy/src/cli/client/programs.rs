//! What gives programs MPTCP that know nothing of it.

use std::path::Path;

/// What is here, in a line for a reader.
pub(super) fn words() -> String {
    let preload = match installed("mptcpize") {
        true => "mptcpize run PROGRAM gives one program MPTCP (preload library; not statically linked ones)",
        false => "those that know nothing of MPTCP need mptcpize (apt-get install mptcpize): mptcpize run PROGRAM",
    };
    let bpf = match hook() {
        Hook::There => {
            "for all programs at once this kernel has update_socket_protocol (a BPF program has to be loaded for it, which is not done here)"
        }
        Hook::Missing => {
            "this kernel has no update_socket_protocol (6.6 or newer, built with BTF), so not for all at once"
        }
        Hook::Unknown => "whether this kernel has update_socket_protocol cannot be read (/sys/kernel/btf/vmlinux)",
    };
    format!("{preload}; {bpf}")
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([Path::new("/usr/bin").to_owned()]).any(|place| place.join(program).is_file())
}

enum Hook {
    There,
    Missing,
    Unknown,
}

/// Whether the kernel's types name the function that a BPF program may answer for.
fn hook() -> Hook {
    let Ok(types) = std::fs::read("/sys/kernel/btf/vmlinux") else { return Hook::Unknown };
    let name = b"\0update_socket_protocol\0";
    if types.windows(name.len()).any(|window| window == name) { Hook::There } else { Hook::Missing }
}
