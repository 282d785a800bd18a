use std::sync::Arc;

use anabranch_sniffer::{FourTuple, Token};
use anabranch_throttle::usage::Account;
use anabranch_throttle::view::{ConnectionKey, SubflowKey};

use super::*;

fn account(subscriber: &str) -> Account {
    Account { period: "month UTC".into(), start: 1_793_491_200, path: "lte".into(), subscriber: Arc::from(subscriber) }
}

fn subflow(port: u16) -> SubflowKey {
    let flow = FourTuple::new("10.1.0.1:3128".parse().unwrap(), ([10, 2, 0, 2], port).into()).unwrap();
    SubflowKey { connection: ConnectionKey::Ours(Token(u32::from(port))), flow }
}

/// A file of its own, gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("anabranch-usage-{name}-{}", std::process::id()));
        drop(std::fs::remove_file(&path));
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

#[test]
fn what_was_saved_is_there_after_a_restart_and_what_is_over_is_not() {
    let scratch = Scratch::new("restart");
    let mut file = File::open(&scratch.0).unwrap();
    assert_eq!(file.load().unwrap(), Saved::default());
    let payload = Payload { download: 50_000_000_000, upload: 7 };
    let first = Changes {
        accounts: vec![(account("line-1"), 50_000_000_007), (account("line-2"), 1)],
        marks: vec![(subflow(40_000), payload), (subflow(40_001), Payload::default())],
        ..Changes::default()
    };
    let then = Changes {
        accounts: vec![(account("line-1"), 50_000_000_009)],
        closed: vec![account("line-2")],
        gone: vec![subflow(40_001)],
        ..Changes::default()
    };
    file.save(&first).unwrap();
    file.save(&then).unwrap();
    drop(file);
    let saved = File::open(&scratch.0).unwrap().load().unwrap();
    assert_eq!(saved.accounts, [(account("line-1"), 50_000_000_009)]);
    assert_eq!(saved.marks, [(subflow(40_000), payload)]);
}

#[test]
fn a_damaged_file_is_said_to_be_one_and_stays_as_it_is() {
    let scratch = Scratch::new("damaged");
    std::fs::write(&scratch.0, b"not a database, but somebody's notes").unwrap();
    let ledger = Ledger::open(Some(&scratch.0), &mut Usage::default());
    let why = ledger.why.expect("it cannot be read");
    assert!(why.contains("from zero") && why.contains("steering.usage"), "{why}");
    assert_eq!(std::fs::read(&scratch.0).unwrap(), b"not a database, but somebody's notes");
}
