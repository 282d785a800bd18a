//! What HTTP does through the proxy, one promise a file, against a process that runs as it would at an operator's.

mod answers;
mod bodies;
mod expect;
mod forward;
mod hostile;
mod own;
mod refuse;
mod tunnel;
mod versions;

use anabranch_tests::Proxy;

/// What every test here starts from: loopback origins in 127.9.0.0/16 may be reached, everything else is as shipped.
const CONFIG: &str = "
[process]
workers = 1
[control]
socket = \"off\"
[log]
level = \"debug\"
access = \"off\"
[[listener]]
address = \"127.0.0.1:0\"
";

/// A proxy with [`CONFIG`] and more sections; the origin section is given apart, because it must not come twice.
fn proxy(more: &str) -> Proxy {
    proxy_with("[origin]\nallow = [\"127.9.0.0/16\"]\n", more, &[])
}

fn proxy_with(origin: &str, more: &str, files: &[(&str, &str)]) -> Proxy {
    Proxy::start(env!("CARGO_BIN_EXE_anabranch-under-test"), &format!("{origin}{more}{CONFIG}"), files)
}
