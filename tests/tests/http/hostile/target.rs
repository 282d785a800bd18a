//! Where does the request want to go, and may it? (RFC 9112 §3.2, RFC 9110 §4.2 and §7.6)

use super::{Row, bare, canonical, denied, refused};

const BAD: &str = "http_request_error";
const PROHIBITED: &str = "destination_ip_prohibited";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {{o}}\r\n\r\n")
}

fn connect(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {{o}}\r\n\r\n")
}

const PLAIN: &str = "GET / HTTP/1.1\r\nHost: {o}\r\nvia: 1.1 {me}\r\n\r\n";

pub(super) fn rows() -> Vec<Row> {
    let bad = |name, target: &str| denied(name, get(target), 400, BAD);
    let prohibited = |name, target: &str| denied(name, get(target), 502, PROHIBITED);
    let site = |name, target: &str| denied(name, get(target), 403, "http_request_denied");
    vec![
        // Forms.
        bad("origin-form", "/"),
        bad("origin-form with a scheme inside", "/http://{o}/"),
        bad("origin-form with two slashes", "//{o}/"),
        bad("asterisk with GET", "*"),
        denied("https in the clear", get("https://example.com/"), 501, BAD),
        bad("ftp", "ftp://{o}/"),
        bad("file", "file://{o}/etc/passwd"),
        bad("authority-form with GET", "{o}"),
        bad("no scheme in front", "://{o}/"),
        bare("no host", get("http:///"), 400),
        bad("scheme only", "http:"),
        // Authority.
        bad("user information", "http://user@{o}/"),
        bad("user and password", "http://user:password@{o}/"),
        bad("host twice by @", "http://example.com@{o}/"),
        bad("port 0", "http://127.9.0.1:0/"),
        bad("port 65536", "http://127.9.0.1:65536/"),
        bad("port with a zero in front", "http://127.9.0.1:080/"),
        bad("port with a sign", "http://127.9.0.1:+80/"),
        bad("port in letters", "http://127.9.0.1:http/"),
        bare("two ports", get("http://127.9.0.1:80:80/"), 400),
        bare("IPv6 without brackets", get("http://::1/"), 400),
        bad("IPv6 with a zone", "http://[fe80::1%25eth0]/"),
        bare("IPv6 with an open bracket", get("http://[::1/"), 400),
        bad("IPv6 with something behind", "http://[::1]x/"),
        bad("IPvFuture", "http://[v1.x]/"),
        bare("percent-encoded host", get("http://%31%32%37.0.0.1/"), 400),
        bare("backslash for a slash", get("http:\\\\{o}\\"), 400),
        bare("control character in the host", get("http://exa\x01mple.com/"), 400),
        bare("space in the host", get("http://exa mple.com/"), 400),
        bad("underscore and bang", "http://exa!mple.com/"),
        bad("two dots", "http://example..com/"),
        bad("label that begins with a hyphen", "http://-a.example.com/"),
        bad("label of 64 letters", &format!("http://{}.example.com/", "a".repeat(64))),
        bad("name of 300 letters", &format!("http://{}example.com/", "abcde.".repeat(50))),
        // IPv4 in the forms only some readers know.
        bad("127.1", "http://127.1/"),
        bad("0x7f.1", "http://0x7f.1/"),
        bad("2130706433", "http://2130706433/"),
        bad("0177.0.0.1", "http://0177.0.0.1/"),
        bad("0x7f000001", "http://0x7f000001/"),
        bad("127.0.0.01", "http://127.0.0.01/"),
        bad("127.0.0.1.", "http://127.0.0.1./"),
        // Destinations: this host, in every disguise.
        site("localhost", "http://localhost/"),
        site("LOCALHOST.", "http://LOCALHOST./"),
        site("below localhost", "http://a.localhost/"),
        site("single label", "http://router/"),
        site("below local", "http://printer.local/"),
        site("below internal", "http://metadata.google.internal/"),
        prohibited("127.0.0.1", "http://127.0.0.1/"),
        prohibited("127.8.8.8", "http://127.8.8.8/"),
        prohibited("0.0.0.0", "http://0.0.0.0/"),
        prohibited("::1", "http://[::1]/"),
        prohibited("::", "http://[::]/"),
        prohibited("v4-mapped", "http://[::ffff:127.0.0.1]/"),
        prohibited("v4-compatible", "http://[::127.0.0.1]/"),
        prohibited("NAT64", "http://[64:ff9b::7f00:1]/"),
        prohibited("6to4", "http://[2002:7f00:1::]/"),
        prohibited("Teredo", "http://[2001:0:7f00:1::]/"),
        // Destinations: the site.
        prohibited("private 10", "http://10.0.0.1/"),
        prohibited("private 172", "http://172.31.255.254/"),
        prohibited("private 192", "http://192.168.1.1/"),
        prohibited("carrier-grade NAT", "http://100.64.0.1/"),
        prohibited("link-local", "http://169.254.1.1/"),
        prohibited("metadata", "http://169.254.169.254/latest/meta-data/"),
        prohibited("metadata, mapped", "http://[::ffff:169.254.169.254]/"),
        prohibited("metadata over IPv6", "http://[fd00:ec2::254]/"),
        prohibited("unique local", "http://[fd00::1]/"),
        prohibited("link-local over IPv6", "http://[fe80::1]/"),
        prohibited("multicast", "http://224.0.0.1/"),
        prohibited("broadcast", "http://255.255.255.255/"),
        prohibited("multicast over IPv6", "http://[ff02::1]/"),
        // Names that lead there.
        prohibited("a name for this host", "http://rebind.example.com/"),
        prohibited("a name for the site", "http://inside.example.com/"),
        denied("a name that is none", get("http://nobody.example.com/"), 502, "dns_error"),
        // CONNECT: what follows a refused one may be meant for the tunnel, so the connection ends.
        refused("CONNECT without a port", connect("127.9.0.1"), 400, BAD),
        refused("CONNECT with an empty port", connect("127.9.0.1:"), 400, BAD),
        refused("CONNECT to port 0", connect("127.9.0.1:0"), 400, BAD),
        refused("CONNECT to port 25", connect("127.9.0.1:25"), 403, "http_request_denied"),
        refused("CONNECT to port 22", connect("127.9.0.1:22"), 403, "http_request_denied"),
        refused("CONNECT to this host", connect("127.0.0.1:443"), 502, PROHIBITED),
        refused("CONNECT to this host, mapped", connect("[::ffff:127.0.0.1]:443"), 502, PROHIBITED),
        refused("CONNECT to the metadata service", connect("169.254.169.254:80"), 502, PROHIBITED),
        refused("CONNECT to a name for this host", connect("rebind.example.com:443"), 502, PROHIBITED),
        refused("CONNECT with user information", connect("user@{o}"), 400, BAD),
        bare("CONNECT with a path", connect("{o}/"), 400),
        refused("CONNECT with a scheme", connect("http://{o}/"), 400, BAD),
        refused(
            "CONNECT with a request hidden behind it",
            connect("127.0.0.1:443") + &get("http://{o}/smuggled"),
            502,
            PROHIBITED,
        ),
        // Good ones in odd clothes.
        canonical("scheme in capitals", get("HTTP://{o}/"), PLAIN),
        canonical("no path", get("http://{o}"), PLAIN),
        canonical("no path but a query", get("http://{o}?q=1"), &PLAIN.replace("GET / ", "GET /?q=1 ")),
        canonical("fragment is dropped", get("http://{o}/#part"), PLAIN),
        canonical(
            "path byte for byte",
            get("http://{o}/a/../b//%2e%2E/%00?x=/../%zz&y=[]"),
            &PLAIN.replace("GET / ", "GET /a/../b//%2e%2E/%00?x=/../%zz&y=[] "),
        ),
        canonical(
            "another URL in the path",
            get("http://{o}/http://10.0.0.1/"),
            &PLAIN.replace("GET / ", "GET /http://10.0.0.1/ "),
        ),
    ]
}
