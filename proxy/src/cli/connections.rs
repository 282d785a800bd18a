//! `anabranch connections`

use std::collections::HashMap;
use std::fmt::Write as _;

use anabranch_config::Role;
use serde_json::Value;

use super::ask::{Arguments, are_two, ask, who_steers};
use super::say;

/// Lists the connections that live now, and their subflows.
pub(super) fn run(arguments: &Arguments) -> u8 {
    match lines(arguments) {
        Ok(lines) if arguments.json => say(&format!("{lines}\n")),
        Ok(lines) => say(&table(&lines)),
        Err(code) => return code,
    }
    0
}

/// What whoever is asked tells; where two processes do the two jobs, what both do.
fn lines(arguments: &Arguments) -> Result<Value, u8> {
    let steering = ask(arguments, who_steers(arguments), "/connections")?;
    if !are_two(arguments) {
        return Ok(steering);
    }
    let carrying = ask(arguments, Role::Proxy, "/connections")?;
    Ok(joined(carrying, steering))
}

/// The sessions of the process that carries bytes, each with what the one that steers knows of its connection; then connections that are no
/// sessions of its.
fn joined(carrying: Value, steering: Value) -> Value {
    let list = |lines: Value| if let Value::Array(lines) = lines { lines } else { Vec::new() };
    let (mut lines, mut others) = (list(carrying), list(steering));
    let token = |line: &Value| line["token"].as_str().map(str::to_owned);
    let places: HashMap<_, _> = others.iter().enumerate().filter_map(|(at, other)| Some((token(other)?, at))).collect();
    for line in lines.iter_mut().filter(|line| line["kernel"].is_null()) {
        if let Some(at) = token(line).and_then(|token| places.get(&token)) {
            let mut known = others[*at].take();
            for key in ["kernel", "wire"] {
                line[key] = known[key].take();
            }
        }
    }
    lines.extend(others.into_iter().filter(|other| !other.is_null()));
    Value::Array(lines)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn table(lines: &Value) -> String {
    let mut out = format!(
        "{:>8} {:<28} {:<32} {:<20} {:>8} {:>6} {:>14} {:>14}\n",
        "SESSION", "CLIENT", "ORIGIN", "MPTCP", "SUBFLOWS", "AGE s", "TO ORIGIN", "TO CLIENT"
    );
    for line in lines.as_array().into_iter().flatten() {
        let living = || line["kernel"]["subflows"].as_array().map_or(Value::Null, |list| list.len().into());
        let mptcp = if line["fallback"].is_null() { text(&line["token"]) } else { text(&line["fallback"]) };
        let subflows = if line["subflows"].is_null() { living() } else { line["subflows"].clone() };
        writeln!(
            out,
            "{:>8} {:<28} {:<32} {:<20} {:>8} {:>6} {:>14} {:>14}",
            text(&line["session"]),
            text(&line["client"]),
            text(&line["origin"]),
            mptcp,
            text(&subflows),
            text(&line["age_seconds"]),
            text(&line["bytes_to_origin"]),
            text(&line["bytes_to_client"])
        )
        .unwrap_or_default();
        for subflow in line["kernel"]["subflows"].as_array().into_iter().flatten() {
            kernel_subflow(&mut out, subflow);
        }
        if line["kernel"].is_null() {
            let seen = line["wire"].as_array().into_iter().flatten().flat_map(|wire| wire["subflows"].as_array());
            seen.flatten().for_each(|subflow| wire_subflow(&mut out, subflow));
        }
    }
    out
}

/// A subflow as the kernel tells it: where from, how fast, how much.
fn kernel_subflow(out: &mut String, subflow: &Value) {
    let mut facts = vec![text(&subflow["kind"])];
    if subflow["established"] == Value::Bool(false) {
        facts.push("not established".to_owned());
    }
    for (key, who) in [("backup_by_local", "backup for us"), ("backup_by_remote", "backup for the client")] {
        if subflow[key] == Value::Bool(true) {
            facts.push(who.to_owned());
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "a round-trip time and a rate, to be read by a person")]
    if let Some(rtt) = subflow["rtt_us"].as_u64() {
        facts.push(format!("rtt {:.1} ms", rtt as f64 / 1e3));
    }
    #[allow(clippy::cast_precision_loss, reason = "a round-trip time and a rate, to be read by a person")]
    if let Some(rate) = subflow["delivery_rate"].as_u64() {
        facts.push(format!("{:.1} Mbit/s", rate as f64 * 8.0 / 1e6));
    }
    for (key, word) in [("bytes_acked", "sent"), ("bytes_received", "received"), ("bytes_retransmitted", "again")] {
        if let Some(bytes) = subflow[key].as_u64()
            && (bytes > 0 || key != "bytes_retransmitted")
        {
            facts.push(format!("{word} {bytes}"));
        }
    }
    let (local, remote) = (text(&subflow["flow"]["source"]), text(&subflow["flow"]["destination"]));
    writeln!(out, "           {remote} > {local}  {}", facts.join(", ")).unwrap_or_default();
}

/// A subflow that only the wire knows.
fn wire_subflow(out: &mut String, subflow: &Value) {
    let (source, destination) = (text(&subflow["flow"]["source"]), text(&subflow["flow"]["destination"]));
    let (kind, state) = (text(&subflow["kind"]), text(&subflow["state"]));
    let (up, down) = (&subflow["bytes"]["client"], &subflow["bytes"]["server"]);
    writeln!(out, "           {source} > {destination}  {kind}, {state}, seen on the wire: {up} up, {down} down")
        .unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_two_processes_know_is_told_as_what_one_would() {
        let subflow = json!({"kind": "initial", "flow": {"source": "10.0.0.1:3128", "destination": "10.1.0.2:40000"}});
        let carrying = json!([
            {"session": 1, "client": "10.1.0.2:40000", "token": "0000000a", "subflows": 1, "age_seconds": 7, "bytes_to_client": 9,
                "kernel": null, "wire": []},
            {"session": 2, "client": "10.1.0.3:40000", "token": null, "fallback": "no-mptcp-on-syn", "bytes_to_client": 5,
                "kernel": null, "wire": []},
        ]);
        let steering = json!([
            {"session": 1, "client": "10.1.0.2:40000", "token": "0000000a", "kernel": {"subflows": [subflow]}, "wire": [1]},
            // Of a proxy that finishes its transfers beside its successor.
            {"session": 9, "client": "10.1.0.4:40000", "token": "0000000b", "kernel": {"subflows": []}, "wire": []},
            {"session": null, "token": null, "kernel": null, "wire": []},
        ]);
        let lines = joined(carrying, steering);
        let of = |key: &str| lines.as_array().unwrap().iter().map(|line| line[key].clone()).collect::<Vec<_>>();
        assert_eq!(of("session"), [json!(1), json!(2), json!(9), json!(null)]);
        assert_eq!((&lines[0]["age_seconds"], &lines[0]["wire"]), (&json!(7), &json!([1])));
        let table = table(&lines);
        assert!(table.contains("10.1.0.2:40000 > 10.0.0.1:3128  initial"), "{table}");
        assert!(table.contains("10.1.0.3:40000") && table.contains("no-mptcp-on-syn"), "{table}");
    }
}
