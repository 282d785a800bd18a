use super::*;
use crate::event::{Forgery, SubflowId, Verified, What};
use crate::id::AddrId;
use crate::track::scene::{ACK, prio, remove};
use crate::wire::mptcp::{AddAddr, Hmac, MptcpOption, Prio};

fn echo(of: AddAddr) -> MptcpOption<'static> {
    MptcpOption::AddAddr(AddAddr { echo: true, hmac: None, ..of })
}

#[test]
fn an_address_is_announced_echoed_and_withdrawn() {
    for by in End::BOTH {
        let (mut scene, talk, mut wire) = talking();
        scene.events();
        let announced = talk.add_addr(by, 5, "10.9.0.1", Some(9999));
        let AddAddr { addr_id, address, port, .. } = announced;
        scene.send(&mut wire, by, ACK, 0, &[MptcpOption::AddAddr(announced)]);
        // Again, as long as it is not echoed.
        scene.send(&mut wire, by, ACK, 0, &[MptcpOption::AddAddr(announced)]);
        scene.send(&mut wire, by.other(), ACK, 0, &[echo(announced)]);
        scene.send(&mut wire, by, ACK, 0, &[remove(&[5])]);
        scene.send(&mut wire, by, ACK, 0, &[remove(&[5])]);
        let connection = scene.only().connection;
        let expected = [
            What::Announced { connection, by, addr_id, address, port, verified: Verified::Yes },
            What::Echoed { connection, by: by.other(), addr_id },
            What::Withdrawn { connection, by, addr_id },
        ];
        assert_eq!(scene.whats(), expected);
        let facts = scene.only();
        let [known] = &facts.announcements[..] else { panic!("{facts:?}") };
        assert_eq!((known.by, known.echoed, known.withdrawn), (by, true, true));
    }
}

#[test]
fn a_forged_announcement_is_told_and_not_remembered() {
    let (mut scene, talk, mut wire) = talking();
    scene.events();
    let genuine = talk.add_addr(End::Server, 5, "10.9.0.1", None);
    // By somebody without keys; by the client in the server's words; with a port the server did not sign.
    let forged = [
        AddAddr { hmac: Some(Hmac([0; 8])), ..genuine },
        talk.add_addr(End::Client, 5, "10.9.0.1", None),
        AddAddr { port: Some(80), ..genuine },
    ];
    for one in forged {
        scene.send(&mut wire, End::Server, ACK, 0, &[MptcpOption::AddAddr(one)]);
    }
    let (connection, flow) = (scene.only().connection, wire.flow(End::Client));
    let told = What::Forged { connection, flow, by: End::Server, what: Forgery::AddAddr };
    assert_eq!(scene.whats(), vec![told; 3]);
    assert_eq!(scene.only().announcements, []);
}

#[test]
fn without_a_proof_an_announcement_is_not_verified() {
    let (mut scene, mut talk, mut wire) = (Scene::default(), Talk::of_version(7, 0), first());
    scene.talk(&mut talk, &mut wire);
    let old = AddAddr { version: 0, hmac: None, ..talk.add_addr(End::Server, 5, "10.9.0.1", None) };
    scene.send(&mut wire, End::Server, ACK, 0, &[MptcpOption::AddAddr(old)]);
    assert_eq!(scene.only().announcements[0].verified, Verified::Unknown);
    // It does not take the place of one that was verified.
    let (mut scene, talk, mut wire) = talking();
    let genuine = talk.add_addr(End::Server, 5, "10.9.0.1", None);
    let other = AddAddr { hmac: None, address: "10.66.6.6".parse().unwrap(), ..genuine };
    for one in [genuine, other] {
        scene.send(&mut wire, End::Server, ACK, 0, &[MptcpOption::AddAddr(one)]);
    }
    assert_eq!(scene.only().announcements[0].address, genuine.address);
}

#[test]
fn announcements_are_bounded() {
    let (mut scene, talk, mut wire) = talking();
    for id in 1..=100 {
        let one = talk.add_addr(End::Server, id, "10.9.0.1", Some(u16::from(id)));
        scene.send(&mut wire, End::Server, ACK, 0, &[MptcpOption::AddAddr(one)]);
    }
    assert_eq!(scene.only().announcements.len(), 16);
    // One that is withdrawn makes room.
    scene.send(&mut wire, End::Server, ACK, 0, &[remove(&[3])]);
    let one = talk.add_addr(End::Server, 200, "10.9.0.1", None);
    scene.send(&mut wire, End::Server, ACK, 0, &[MptcpOption::AddAddr(one)]);
    let ids: Vec<_> = scene.only().announcements.iter().map(|known| known.addr_id.0).collect();
    assert_eq!((ids.len(), ids.contains(&3), ids.contains(&200)), (16, false, true));
}

#[test]
fn either_end_changes_the_priority_of_one_subflow() {
    let (mut scene, talk, _, mut other) = joined();
    let subflow = SubflowId { connection: scene.only().connection, number: 1 };
    for by in End::BOTH {
        for backup in [true, false] {
            for _ in 0..2 {
                // With a DSS, as Linux sends it; the second time it changes nothing.
                scene.send(&mut other, by, ACK, 0, &[talk.ack(by), prio(backup)]);
            }
            assert_eq!(scene.whats(), [What::Priority { subflow, by, backup }]);
            assert_eq!(scene.only().subflows[1].backup, Ends::of(by, backup, false));
            assert_eq!(scene.only().subflows[0].backup, Ends::default());
        }
    }
}

#[test]
fn version_0_names_the_subflow_by_address() {
    let (mut scene, _, mut wire, other) = joined();
    let named = |id| MptcpOption::Prio(Prio { backup: true, addr_id: Some(AddrId(id)) });
    scene.send(&mut wire, End::Client, ACK, 0, &[named(7)]);
    let facts = scene.only();
    assert_eq!((facts.subflows[1].flow, facts.subflows[1].backup.client), (other.flow(End::Client), true));
    scene.send(&mut wire, End::Client, ACK, 0, &[named(42)]);
    assert!(!scene.only().subflows[0].backup.client);
}
