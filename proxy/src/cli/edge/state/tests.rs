use super::*;

/// A root of its own, away with the test.
struct Root(PathBuf);

impl Root {
    fn new(what: &str) -> Self {
        let path = std::env::temp_dir().join(format!("anabranch-state-{what}-{}", std::process::id()));
        fs::create_dir_all(path.join("var/lib/anabranch")).unwrap();
        Self(path)
    }

    fn state(&self, text: &str) {
        write(&self.0.join(STATE), text).unwrap();
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

const SOUND: &str =
    r#"{"sysctls":[{"key":"net/a","former":"0","set":"1","why":"w","lasting":true}],"files":[],"directories":[]}"#;

#[test]
fn a_state_file_is_read_if_only_we_can_write_it() {
    let root = Root::new("ours");
    assert_eq!(read(&root.0).unwrap(), Journal::default());
    root.state(SOUND);
    assert_eq!(read(&root.0).unwrap().sysctls.len(), 1);
    let file = root.0.join(STATE);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
    assert!(matches!(read(&root.0), Err(StateError::NotOurs(_))));
    fs::remove_file(&file).unwrap();
    fs::write(root.0.join("elsewhere"), SOUND).unwrap();
    std::os::unix::fs::symlink(root.0.join("elsewhere"), &file).unwrap();
    assert!(matches!(read(&root.0), Err(StateError::Read(..))));
}

#[test]
fn an_ordinary_user_is_sent_to_root() {
    let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
    let path = || PathBuf::from("a.json");
    let refused = unreadable(path(), denied(), false);
    assert!(refused.to_string().ends_with("run this as root"), "{refused}");
    assert!(matches!(unreadable(path(), denied(), true), StateError::Read(..)));
    assert!(matches!(unreadable(path(), io::ErrorKind::IsADirectory.into(), false), StateError::Read(..)));
    assert!(matches!(not_ours(path(), true, 0), StateError::Roots(_)));
    assert!(matches!(not_ours(path(), true, 1000), StateError::NotOurs(_)));
    assert!(matches!(not_ours(path(), false, 0), StateError::NotOurs(_)));
}

#[test]
fn a_state_file_that_means_nothing_or_too_much_is_refused() {
    let root = Root::new("damaged");
    for text in [
        "",
        "{}",
        &SOUND.replace("net/a", "../etc/passwd"),
        &SOUND.replace("\"files\":[]", "\"files\":[{\"path\":\"etc/passwd\",\"former\":\"x\",\"set\":\"y\"}]"),
    ] {
        root.state(text);
        assert!(matches!(read(&root.0), Err(StateError::Damaged(..))), "{text}");
    }
}

#[test]
fn a_file_is_replaced_as_a_whole_and_keeps_its_permissions() {
    let root = Root::new("write");
    let file = root.0.join("a");
    let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
    write(&file, "one").unwrap();
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode()), ("one", 0o644));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    // What a crash has left beside it is in nobody's way.
    fs::write(root.0.join("a.anabranch-new"), "half").unwrap();
    write(&file, "two").unwrap();
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode()), ("two", 0o600));
    assert!(!root.0.join("a.anabranch-new").exists());
    assert!(write(&root.0.join("none/a"), "x").is_err());
}
