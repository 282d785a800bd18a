use super::*;
use crate::track::scene::{ACK, RST, SYN, SYN_ACK, Scene, Talk, Wire, fast_close, join_options, prio, remove, reset};
use crate::wire::mptcp::{AddAddr, Hmac, Join, MptcpOption};

fn begin() -> (Scene, Talk, Wire) {
    let (mut scene, mut talk, mut wire) =
        (Scene::default(), Talk::new(7), Wire::new("10.1.0.2:40000", "10.0.0.1:3128"));
    scene.talk(&mut talk, &mut wire);
    (scene, talk, wire)
}

fn second() -> Wire {
    Wire::new("10.2.0.2:41000", "10.0.0.1:3128")
}

fn story(scene: &Scene) -> String {
    Story(scene.only()).to_string()
}

#[test]
fn of_two_subflows_that_finish() {
    let (mut scene, mut talk, mut wire) = begin();
    let mut other = second();
    scene.join(&talk, &mut other, End::Client, true);
    scene.data(&mut talk, &mut wire, End::Server, 3000);
    scene.data(&mut talk, &mut other, End::Server, 1000);
    // The slower subflow's data once more, on the faster one.
    let again = talk.map(End::Server, talk.dsn.server - 1000, wire.ssn(End::Server), 1000);
    scene.send(&mut wire, End::Server, ACK, 1000, &[again]);
    scene.send_at(&wire, End::Server, ACK, wire.next.server.wrapping_sub(1000), 1000, &[again]);
    scene.send(&mut other, End::Server, ACK, 0, &[prio(true)]);
    scene.end_data(&mut talk, &mut wire);
    scene.finish(&mut wire);
    scene.finish(&mut other);
    insta::assert_snapshot!(story(&scene), @r#"
    connection 0, MPTCP version 1, client token 81dcbecf, server token 2410c813: finished after 24.0 ms
      1 bytes to the server, 5001 to the client; 1000 bytes sent again by TCP; 1000 bytes sent again as data
      subflow 0: initial, 10.1.0.2:40000 > 10.0.0.1:3128
        1 bytes to the server, 4001 to the client (80 %); closed after 21.0 ms
      subflow 1: joined, 10.2.0.2:41000 > 10.0.0.1:3128, opened by the client 8.0 ms after the connection, backup as both ask
        0 bytes to the server, 1000 to the client (20 %); closed after 24.0 ms
    "#);
}

#[test]
fn of_an_announced_address() {
    let (mut scene, talk, mut wire) = begin();
    let announced = talk.add_addr(End::Server, 5, "10.0.9.1", Some(9999));
    let echo = AddAddr { echo: true, hmac: None, ..announced };
    scene.send(&mut wire, End::Server, ACK, 0, &[MptcpOption::AddAddr(announced)]);
    scene.send(&mut wire, End::Client, ACK, 0, &[MptcpOption::AddAddr(echo)]);
    scene.join(&talk, &mut Wire::new("10.2.0.2:41000", "10.0.9.1:9999"), End::Client, false);
    scene.send(&mut wire, End::Server, ACK, 0, &[remove(&[5])]);
    let unproven = AddAddr { hmac: None, ..talk.add_addr(End::Client, 3, "10.3.0.2", None) };
    scene.send(&mut wire, End::Client, ACK, 0, &[MptcpOption::AddAddr(unproven)]);
    insta::assert_snapshot!(story(&scene), @r#"
    connection 0, MPTCP version 1, client token 81dcbecf, server token 2410c813: open
      1 bytes to the server, 1 to the client
      subflow 0: initial, 10.1.0.2:40000 > 10.0.0.1:3128
        1 bytes to the server, 1 to the client (100 %); established
      subflow 1: joined, 10.2.0.2:41000 > 10.0.9.1:9999, opened by the client 10.0 ms after the connection
        0 bytes to the server, 0 to the client (0 %); established
      server announced address 5: 10.0.9.1 port 9999 after 7.0 ms, echoed, withdrawn
      client announced address 3: 10.3.0.2 after 14.0 ms, not verified
    "#);
}

#[test]
fn of_refused_joins_and_a_fast_close() {
    let (mut scene, talk, mut wire) = begin();
    let [syn, syn_ack, ack] = join_options(&talk, End::Client, false);
    let mut other = second();
    scene.send(&mut other, End::Client, SYN, 0, &[syn]);
    scene.send(&mut other, End::Server, SYN_ACK, 0, &[syn_ack]);
    scene.send(&mut other, End::Client, ACK, 0, &[ack]);
    scene.send(&mut other, End::Server, RST, 0, &[reset(3)]);
    let mut forged = Wire::new("10.66.0.6:666", "10.0.0.1:3128");
    scene.send(&mut forged, End::Client, SYN, 0, &[syn]);
    scene.send(&mut forged, End::Server, SYN_ACK, 0, &[syn_ack]);
    scene.send(&mut forged, End::Client, ACK, 0, &[MptcpOption::Join(Join::Ack { hmac: Hmac([0; 20]) })]);
    scene.now += Duration::from_secs(90);
    scene.send(&mut wire, End::Client, RST, 0, &[fast_close(talk.keys.server), reset(0)]);
    insta::assert_snapshot!(story(&scene), @r#"
    connection 0, MPTCP version 1, client token 81dcbecf, server token 2410c813: aborted by the client (fast close) after 90.01 s
      1 bytes to the server, 1 to the client
      subflow 0: initial, 10.1.0.2:40000 > 10.0.0.1:3128
        1 bytes to the server, 1 to the client (100 %); reset by the client after 90.01 s: unspecified error
      subflow 1: joined, 10.2.0.2:41000 > 10.0.0.1:3128, opened by the client
        0 bytes to the server, 0 to the client (0 %); reset by the server after 10.0 ms: administratively prohibited
      subflow 2: joined, 10.66.0.6:666 > 10.0.0.1:3128, opened by the client, FORGED
        0 bytes to the server, 0 to the client (0 %); ended with the connection
      joins refused: 1
      forgeries in its name: 1
    "#);
}

#[test]
fn of_a_fallback() {
    let (mut scene, talk, mut wire) = (Scene::default(), Talk::new(7), Wire::new("[fd01::2]:40000", "[fd00::1]:3128"));
    scene.connect(&talk, &mut wire);
    scene.bare_data(&mut wire, End::Client, 100);
    scene.bare_data(&mut wire, End::Server, 900);
    insta::assert_snapshot!(story(&scene), @r#"
    connection 0, MPTCP version 1, client token 81dcbecf, server token 2410c813: open
      plain TCP after 4.0 ms: lost-after-syn
      100 bytes to the server, 900 to the client
      subflow 0: initial, [fd01::2]:40000 > [fd00::1]:3128
        100 bytes to the server, 900 to the client (100 %); established
    "#);
}

#[test]
fn of_a_connection_found_running() {
    let (mut scene, mut talk) = (Scene::default(), Talk::new(7));
    scene.data(&mut talk, &mut second(), End::Client, 100);
    insta::assert_snapshot!(story(&scene), @r#"
    connection 0, MPTCP version 1, running before the watch began: open
      100 bytes to the server, 0 to the client
      subflow 0: initial, 10.2.0.2:41000 > 10.0.0.1:3128
        100 bytes to the server, 0 to the client (100 %); established
    "#);
}

#[test]
fn as_json_it_comes_back_and_holds_no_secret() {
    let (mut scene, mut talk, mut wire) = begin();
    scene.join(&talk, &mut second(), End::Client, false);
    scene.end_data(&mut talk, &mut wire);
    scene.send(&mut wire, End::Client, RST, 0, &[reset(0)]);
    let facts = scene.only();
    let json = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<ConnectionFacts>(&json).unwrap(), facts);
    for key in [talk.keys.client, talk.keys.server] {
        let hex: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let numbers = format!("{:?}", key.0).replace(' ', "");
        let whole = u64::from_be_bytes(key.0).to_string();
        for secret in [hex, numbers, whole] {
            assert!(!json.contains(&secret), "{json}");
        }
    }
    assert!(json.contains(r#""established_at_us":1700000000003000"#), "{json}");
}
