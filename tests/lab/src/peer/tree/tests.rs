//! Reading `/proc`, and a real tree of processes that burns time.

use std::process::{Command, Stdio};

use super::*;

#[test]
fn a_name_in_brackets_may_hold_brackets() {
    let text = "12 (a) b (c) S 7 12 12 0 -1 4194560 1 2 3 4 50 6 70 8 20 0 1 0 99 0 0";
    assert_eq!(stat(text), Some(Stat { parent: 7, ticks: 56, children: 78 }));
    assert_eq!(stat("12 (a) S 7"), None);
}

#[test]
fn a_tree_is_its_root_and_all_below_it() {
    let entry = |parent| Stat { parent, ticks: 0, children: 0 };
    let stats = BTreeMap::from([(1, entry(0)), (2, entry(1)), (3, entry(2)), (4, entry(1)), (9, entry(3))]);
    assert_eq!(members(&stats, 2), [2, 3, 9]);
    assert_eq!(members(&stats, 5), [0_u32; 0]);
}

#[test]
fn memory_is_the_proportional_share() {
    assert_eq!(pss("Rss:  10 kB\nPss:     7 kB\nPss_Dirty: 3 kB\n"), Some(7));
}

#[test]
fn what_children_burn_counts_while_they_live_and_after() {
    // The inner shell ends and is waited for; the outer one stays until its input closes.
    let script = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; echo done; read _";
    let mut child =
        Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let tree = Tree(child.id());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let (cpu, memory) = (tree.cpu().unwrap(), tree.memory().unwrap());
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(cpu >= TICK * 2, "{cpu:?}");
    assert!(memory > 0);
    assert!(tree.cpu().is_err(), "it has ended");
}
