//! The arrows between the rooms hold: no manifest names a room it may not, no pure room names a crate that touches the machine, and
//! no file outgrows its room.
//!
//! Every rule is a function from text to faults, so that it is also held against a text that breaks it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

/// Who may name whom; an arrow that is not here is forbidden. `anabranch` (proxy/) names the lab for `demo` alone.
const ARROWS: &[(&str, &[&str])] = &[
    ("anabranch-config", &[]),
    ("anabranch-kernel", &["anabranch-config"]),
    ("anabranch-sniffer", &["anabranch-config", "anabranch-kernel"]),
    ("anabranch-throttle", &["anabranch-config", "anabranch-sniffer"]),
    ("anabranch-deploy", &["anabranch-config", "anabranch-kernel"]),
    (
        "anabranch",
        &[
            "anabranch-config",
            "anabranch-kernel",
            "anabranch-sniffer",
            "anabranch-throttle",
            "anabranch-deploy",
            "anabranch-lab",
        ],
    ),
    ("anabranch-lab", &["anabranch-kernel", "anabranch-sniffer"]),
    (
        "anabranch-bench",
        &[
            "anabranch",
            "anabranch-config",
            "anabranch-kernel",
            "anabranch-sniffer",
            "anabranch-throttle",
            "anabranch-lab",
        ],
    ),
    ("anabranch-sniffer-fuzz", &["anabranch-sniffer"]),
    (
        "anabranch-tests",
        &[
            "anabranch",
            "anabranch-config",
            "anabranch-kernel",
            "anabranch-sniffer",
            "anabranch-throttle",
            "anabranch-deploy",
            "anabranch-lab",
        ],
    ),
];

/// Where the manifests are that are no members: each is a workspace of its own, for a build that is not the product's.
const ASIDE: &[&str] = &["sniffer/fuzz"];

/// Rooms that take values and `now` and return values.
const PURE: &[&str] = &["anabranch-config", "anabranch-sniffer", "anabranch-throttle", "anabranch-deploy"];
/// Crates that touch the machine; the tests of a pure room do without them as well.
const MACHINE: &[&str] = &["libc", "mio", "nix", "rustix", "socket2", "tokio"];

/// Lines of a source file, tests not counted.
const MOST_LINES: usize = 500;
/// Lines of a `main.rs`.
const MOST_LINES_OF_MAIN: usize = 120;

// In halves, so that this file does not break its own rules.
const UNSAFE: &str = concat!("un", "safe");
const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The files below the root for which `wanted` holds, with their text, by their path from the root; never none.
fn files(wanted: impl Fn(&Path) -> bool) -> BTreeMap<PathBuf, String> {
    let root = root();
    let (mut found, mut open) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let hidden = path.file_name().unwrap().to_str().unwrap().starts_with('.');
            if path.is_dir() {
                // Build products, and nothing else, are marked so (cachedir).
                if !hidden && !path.join("CACHEDIR.TAG").exists() {
                    open.push(path);
                }
            } else if wanted(&path) {
                found.insert(path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(!found.is_empty(), "found no file to check below {}", root.display());
    found
}

fn is(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn sources() -> BTreeMap<PathBuf, String> {
    let sources = files(|path| is(path, "rs"));
    // Fewer means that the walk has lost its way, and every rule below would hold for want of files.
    assert!(sources.len() > 100, "found only {} source files", sources.len());
    sources
}

/// Every manifest of a room, the top one excluded.
fn manifests() -> Vec<Table> {
    let found = files(|path| path.file_name().is_some_and(|name| name == "Cargo.toml"));
    let tables = found.values().map(|text| text.parse::<Table>().unwrap());
    tables.filter(|table| table.contains_key("package")).collect()
}

fn name(manifest: &Table) -> &str {
    manifest["package"]["name"].as_str().unwrap()
}

/// The packages a manifest names, in any kind of dependency, for any target; by their own names where they are renamed.
fn named(manifest: &Table) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else { continue };
        match key.as_str() {
            "dependencies" | "dev-dependencies" | "build-dependencies" => {
                let package = |(key, value): (&String, &toml::Value)| {
                    value.get("package").and_then(toml::Value::as_str).unwrap_or(key).to_owned()
                };
                names.extend(table.iter().map(package));
            }
            "target" => names.extend(table.values().filter_map(toml::Value::as_table).flat_map(named)),
            _ => {}
        }
    }
    names
}

fn faults_of_manifest(manifest: &Table) -> Vec<String> {
    let room = name(manifest);
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{room}: a room that nobody has drawn")];
    };
    let mut faults = Vec::new();
    for package in named(manifest) {
        let ours = ARROWS.iter().any(|(name, _)| *name == package);
        if ours && !allowed.contains(&package.as_str()) {
            faults.push(format!("{room} names {package}: an arrow that is not drawn"));
        }
        if PURE.contains(&room) && MACHINE.contains(&package.as_str()) {
            faults.push(format!("{room} names {package}: a pure room does not touch the machine"));
        }
    }
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if lints.and_then(toml::Value::as_bool) != Some(true) {
        faults.push(format!("{room}: without `lints.workspace = true` nothing is refused there"));
    }
    faults
}

/// A line's code: without the comment at its end, and without what stands in its string literals.
fn code(line: &str) -> String {
    let code = line.split("//").next().unwrap_or_default();
    code.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

fn faults_of_source(path: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let words = |line: &str| {
        let code = code(line);
        let word = |c: char| !(c.is_alphanumeric() || c == '_');
        code.split(word).any(|word| word == UNSAFE || word == format!("{UNSAFE}_code"))
    };
    if !path.starts_with("kernel") {
        let found = text.lines().enumerate().filter(|(_, line)| words(line));
        faults.extend(found.map(|(at, _)| format!("{}:{}: {UNSAFE} outside of kernel/", path.display(), at + 1)));
    }
    // The demo alone drives the lab; what carries a customer's bytes does not.
    let demo = path.starts_with("proxy/src/cli/demo") || path == Path::new("proxy/src/cli/demo.rs");
    if path.starts_with("proxy/src") && !demo && text.lines().any(|line| code(line).contains("anabranch_lab")) {
        faults.push(format!("{}: names the lab, which only proxy/src/cli/demo may", path.display()));
    }
    // A test file is tests.rs, or lies below a directory tests; the room tests/ itself is such a directory only further in.
    let inside = path.strip_prefix("tests").unwrap_or(path);
    let test = inside.components().any(|part| part.as_os_str() == "tests.rs" || part.as_os_str() == "tests");
    let (lines, most) = (
        text.lines().count(),
        if path.file_name().is_some_and(|name| name == "main.rs") { MOST_LINES_OF_MAIN } else { MOST_LINES },
    );
    if !test && lines > most {
        faults.push(format!("{}: {lines} lines, at most {most}; split it by state or by phase", path.display()));
    }
    faults
}

fn marks(path: &Path, text: &str) -> Vec<String> {
    let marked = |line: &str| MARKS.iter().any(|mark| line.contains(mark));
    let found = text.lines().enumerate().filter(|(_, line)| marked(line));
    found.map(|(at, _)| format!("{}:{}: do it, or open an issue", path.display(), at + 1)).collect()
}

#[test]
fn every_arrow_is_drawn() {
    let manifests = manifests();
    assert_eq!(manifests.len(), ARROWS.len(), "rooms drawn and rooms there");
    let faults: Vec<_> = manifests.iter().flat_map(faults_of_manifest).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_room_is_a_member_and_unsafe_is_denied() {
    let top: Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let workspace = &top["workspace"];
    assert_eq!(workspace["members"].as_array().unwrap().len() + ASIDE.len(), ARROWS.len());
    let aside: Vec<_> = workspace["exclude"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert_eq!(aside, ASIDE);
    assert_eq!(workspace["members"], workspace["default-members"]);
    assert_eq!(workspace["lints"]["rust"][format!("{UNSAFE}_code")].as_str(), Some("deny"));
}

#[test]
fn no_source_outgrows_its_room() {
    let faults: Vec<_> = sources().iter().flat_map(|(path, text)| faults_of_source(path, text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_is_put_off_in_a_comment() {
    let files = files(|path| ["rs", "toml", "sh", "md"].iter().any(|extension| is(path, extension)));
    let faults: Vec<_> = files.iter().flat_map(|(path, text)| marks(path, text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_rules_refuse_what_breaks_them() {
    let manifest = |name: &str, rest: &str| -> Vec<String> {
        faults_of_manifest(&format!("package.name = \"{name}\"\nlints.workspace = true\n{rest}").parse().unwrap())
    };
    let refused: &[(&str, &str)] = &[
        ("anabranch-config", "[dependencies]\nanabranch-kernel.workspace = true"),
        ("anabranch-kernel", "[dependencies]\nanabranch-sniffer = { path = \"../sniffer\" }"),
        ("anabranch-sniffer", "[dev-dependencies]\nanabranch-lab.workspace = true"),
        ("anabranch-throttle", "[build-dependencies]\nanabranch-kernel.workspace = true"),
        ("anabranch-throttle", "[dependencies]\nk = { package = \"anabranch-kernel\", path = \"../kernel\" }"),
        ("anabranch-sniffer", "[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\""),
        ("anabranch-deploy", "[dependencies]\ntokio.workspace = true"),
        ("anabranch-lab", "[dependencies]\nanabranch.workspace = true"),
        ("anabranch-sniffer-fuzz", "[dependencies]\nanabranch-kernel = { path = \"../../kernel\" }"),
        ("anabranch", "[dev-dependencies]\nanabranch-tests = { path = \"../tests\" }"),
        ("anabranch-attic", ""),
    ];
    for (room, rest) in refused {
        assert_eq!(manifest(room, rest).len(), 1, "{room}: {rest}");
    }
    assert!(manifest("anabranch", "[dependencies]\nanabranch-lab.workspace = true\ntokio = \"1\"").is_empty());
    assert_eq!(faults_of_manifest(&"package.name = \"anabranch-lab\"".parse().unwrap()).len(), 1);

    let source = |path: &str, text: &str| faults_of_source(Path::new(path), text).len();
    let block = format!("    {UNSAFE} {{ f() }}\n");
    assert_eq!(source("proxy/src/leg.rs", &block), 1);
    assert_eq!(source("tests/lab/src/link.rs", &format!("#![allow({UNSAFE}_code, reason = \"\")]\n")), 1);
    assert_eq!(source("kernel/src/packet.rs", &block), 0);
    assert_eq!(source("proxy/src/leg.rs", &format!("let word = \"{UNSAFE}\"; // {UNSAFE}\n")), 0);
    let lab = "use anabranch_lab::Link;\n";
    assert_eq!((source("proxy/src/app.rs", lab), source("proxy/src/cli/demo/acts.rs", lab)), (1, 0));
    assert_eq!(source("proxy/src/cli/demo.rs", lab), 0);
    let lines = |count: usize| "\n".repeat(count);
    for path in ["proxy/src/leg.rs", "tests/lab/src/link.rs", "tests/src/lib.rs"] {
        assert_eq!((source(path, &lines(MOST_LINES)), source(path, &lines(MOST_LINES + 1))), (0, 1), "{path}");
    }
    for path in
        ["proxy/src/leg/tests.rs", "proxy/src/leg/tests/server.rs", "tests/tests/convert.rs", "config/tests/corpus.rs"]
    {
        assert_eq!(source(path, &lines(MOST_LINES + 1)), 0, "{path}");
    }
    assert_eq!((source("a/src/main.rs", &lines(120)), source("a/src/main.rs", &lines(121))), (0, 1));
    assert_eq!(marks(Path::new("a.rs"), &format!("\n// {}: later\n", MARKS[0])), ["a.rs:2: do it, or open an issue"]);
}
