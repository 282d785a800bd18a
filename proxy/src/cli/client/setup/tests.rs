use super::*;
use anabranch_deploy::client::setup::pin;

/// No network namespace has this cookie.
const NOBODYS: u64 = 0;

struct Root(PathBuf);

impl Root {
    fn new(what: &str) -> Self {
        let path = std::env::temp_dir().join(format!("anabranch-setup-{what}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn file(path: &str, former: Option<&str>, text: &str) -> Step {
    Step::File {
        path: path.into(),
        former: former.map(str::to_owned),
        text: text.into(),
        earlier: None,
        executable: false,
    }
}

/// A set-up over which somebody has said that it stays.
fn first(root: &Path) -> Journal {
    let program = Step::Programs { namespace: NOBODYS, former: None, except: vec!["anabranch".into()] };
    let wanted = Wanted { proxy: "first:3128".into(), ..Wanted::default() };
    let mut journal = Journal { wanted, confirmed: true, attempt: 1, ..Journal::default() };
    apply(root, &Journal::default(), journal.clone(), &[file("etc/profile.d/anabranch.sh", None, "first")]).unwrap();
    journal = Journal { steps: state::read(root).unwrap().unwrap().steps, ..journal };
    // Its program: here a file stands for the pin, for a kernel may refuse the program, and the directory is no BPF file system.
    fs::create_dir_all(root.join(pin(NOBODYS)).parent().unwrap()).unwrap();
    fs::write(root.join(pin(NOBODYS)), "").unwrap();
    journal.add(&[program]);
    write(root, &mut journal).unwrap();
    state::read(root).unwrap().unwrap()
}

fn second(root: &Path, steps: &[Step]) -> Journal {
    let before = first(root);
    let wanted = Wanted { proxy: "second:3128".into(), ..Wanted::default() };
    let journal = Journal { wanted, confirmed: false, attempt: 2, ..before.clone() };
    assert_eq!(apply(root, &before, journal, steps), Err(exit::OS));
    before
}

#[test]
fn a_second_set_up_that_fails_leaves_the_first_as_it_was() {
    let root = Root::new("second");
    // A file cannot be made below a file.
    let impossible = file("etc/profile.d/anabranch.sh/impossible", None, "second");
    let before = second(&root.0, &[file("etc/profile.d/anabranch.sh", Some("first"), "second"), impossible]);
    // What was wanted and confirmed as well, so that neither the next change of links nor the second's watch touches it.
    assert_eq!(state::read(&root.0).unwrap().unwrap(), before);
    assert_eq!(fs::read_to_string(root.0.join("etc/profile.d/anabranch.sh")).unwrap(), "first");
}

#[test]
fn a_second_program_that_fails_leaves_the_first_ones_pin() {
    let root = Root::new("program");
    let except = vec!["anabranch".into(), "sshd".into()];
    let former = Some(vec!["anabranch".into()]);
    let before = second(&root.0, &[Step::Programs { namespace: NOBODYS, former, except }]);
    assert!(root.0.join(pin(NOBODYS)).exists());
    assert_eq!(state::read(&root.0).unwrap().unwrap(), before);
    // And the undo removes it.
    undo(&root.0, before, false).unwrap();
    assert!(!root.0.join(pin(NOBODYS)).exists());
}

/// All of `/var` is gone after a boot there.
#[test]
fn what_is_to_be_done_again_is_kept_where_openwrt_keeps_things() {
    let root = Root::new("openwrt");
    fs::create_dir_all(root.0.join("etc")).unwrap();
    fs::write(root.0.join("etc/openwrt_release"), "").unwrap();
    let journal = first(&root.0);
    assert!(root.0.join("etc/anabranch/client-setup.json").exists() && !root.0.join("var").exists());
    undo(&root.0, journal, false).unwrap();
    assert!(!root.0.join("etc/anabranch/client-setup.json").exists());
}

/// `ifup` of two links calls two at the same time: without this the second one's routes are there already, and it takes them back.
#[test]
fn of_two_set_ups_the_second_waits() {
    let root = Root::new("alone");
    // Nothing to lock, where nobody else runs.
    assert!(alone(&root.0).unwrap().is_none());
    fs::create_dir_all(root.0.join("run")).unwrap();
    let held = alone(&root.0).unwrap();
    let (told, hears) = std::sync::mpsc::channel();
    let path = root.0.clone();
    let second = std::thread::spawn(move || told.send(alone(&path).is_ok()));
    assert!(hears.recv_timeout(Duration::from_millis(100)).is_err());
    drop(held);
    assert_eq!(hears.recv_timeout(Duration::from_secs(10)), Ok(true));
    second.join().unwrap().unwrap();
}

/// As after an upgrade, at the first change of links.
#[test]
fn hooks_of_an_earlier_version_are_replaced_and_undone_all_the_same() {
    let root = Root::new("renew");
    let [hook, theirs] = ["etc/network/if-up.d/anabranch", "etc/network/if-post-down.d/anabranch"];
    let profile = "etc/profile.d/anabranch.sh";
    let read = |path: &str| fs::read_to_string(root.0.join(path)).unwrap();
    fs::create_dir_all(root.0.join("etc/network/if-up.d")).unwrap();
    fs::write(root.0.join(hook), "before us").unwrap();
    let wanted = Wanted { proxy: "edge:3128".into(), program: "/usr/bin/anabranch".into(), ..Wanted::default() };
    let journal = Journal { wanted, confirmed: true, ..Journal::default() };
    let steps = [file(hook, Some("before us"), "old"), file(theirs, None, "old"), file(profile, None, "old")];
    apply(&root.0, &Journal::default(), journal, &steps).unwrap();
    fs::write(root.0.join(theirs), "changed by hand").unwrap();
    renew_files(&root.0, Keeper::Ifupdown).unwrap();
    assert!(read(hook).contains("/usr/bin/anabranch client setup --again"), "{}", read(hook));
    assert!(read(profile).contains("http://edge:3128"), "{}", read(profile));
    assert_eq!(read(theirs), "changed by hand");
    // One that this version has beside them.
    let leases = "etc/dhcp/dhclient-exit-hooks.d/anabranch";
    assert!(read(leases).contains("--again"));
    let journal = state::read(&root.0).unwrap().unwrap();
    undo(&root.0, journal, false).unwrap();
    assert_eq!((read(hook).as_str(), read(theirs).as_str()), ("before us", "changed by hand"));
    assert!(!root.0.join(profile).exists() && !root.0.join(leases).exists() && !root.0.join("etc/dhcp").exists());
}

/// As on a read-only `/etc`.
#[test]
fn hooks_that_cannot_be_replaced_stay_and_so_does_the_journal() {
    let root = Root::new("unrenewed");
    let profile = "etc/profile.d/anabranch.sh";
    let before = first(&root.0);
    assert_eq!(fs::read_to_string(root.0.join(profile)).unwrap(), "first");
    // The new file is written beside the old one: there something else is.
    fs::create_dir(root.0.join("etc/profile.d/anabranch.sh.anabranch-new")).unwrap();
    assert_eq!(renew_files(&root.0, Keeper::Nobody), Err(exit::OS));
    assert_eq!(fs::read_to_string(root.0.join(profile)).unwrap(), "first");
    assert_eq!(state::read(&root.0).unwrap().unwrap(), before);
}
