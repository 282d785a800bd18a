use super::*;

#[test]
fn numbers_are_found_by_their_whole_name() {
    let status = "Name:\tlab\nVmHWM:\t  123 kB\nVmHWMark:\t  9 kB\n";
    assert_eq!(proc_number(status, "VmHWM"), Some(123));
    assert_eq!(proc_number(status, "Vm"), None);
    assert_eq!(proc_number(status, "Name"), None);
}

#[test]
fn a_time_too_short_to_count_is_no_rate() {
    assert_eq!(rate(10, Duration::ZERO), None);
    assert_eq!(rate(10, Duration::from_millis(500)), Some(20.0));
}

#[test]
fn honest_hosts_are_believed_and_forged_handshakes_make_no_connection() {
    let options = Options { quick: true, settle: false, rounds: Some(1), cell: None, subject: Subject::Floor };
    let mut report = Report::new("sniffer", json!({}));
    state::flood(&mut report, &options).unwrap();
    assert_eq!(report.figures["real_connection_tracked"], json!(1.0), "{report:?}");
    // The one that goes on, and the five that begin meanwhile.
    assert_eq!(report.figures["flood_connections_held"], json!(6.0), "{report:?}");
    assert_eq!(report.figures["flood_newcomers_missed"], json!(0.0), "{report:?}");
}
