//! The demo's one JSON object.
//!
//! What lives here: its shape. What does not: printing it. Called by the demo. Pure.

use serde_json::{Value, json};

use super::act::Outcome;
use super::links::Links;
use super::rule::{Held, Rule};

/// The object: what was built, each act, and the second act against the first.
///
/// Units: bit/s of payload (of links as built: on the wire), bytes, seconds, milliseconds where the name says so.
pub(super) fn report(links: &Links, outcomes: &[Outcome]) -> Value {
    let (single, multi) = (outcomes.first().map(Outcome::rate), outcomes.get(1).map(Outcome::rate));
    let rule = Rule::of(links);
    let act = |outcome: &Outcome| {
        let of = |(link, rate): (&super::links::AccessLink, &f64)| json!({"name": link.name, "rate": rate.round()});
        json!({
            "name": outcome.name,
            "bytes": outcome.bytes,
            "seconds": outcome.elapsed.as_secs_f64(),
            "rate": outcome.rate().round(),
            "links": links.iter().zip(&outcome.links).map(of).collect::<Vec<_>>(),
            "intact": outcome.intact,
            "proxy": outcome.witness,
            "policy": outcome.held.as_ref().map(|held| policy(&rule, held)),
        })
    };
    let link = |link: &super::links::AccessLink| {
        let round_trip = u64::try_from(link.round_trip.as_millis()).unwrap_or(u64::MAX);
        json!({"name": link.name, "rate": link.rate.bits_per_second(), "round_trip_ms": round_trip})
    };
    json!({
        "links": links.iter().map(link).collect::<Vec<_>>(),
        "acts": outcomes.iter().map(act).collect::<Vec<_>>(),
        "best_single": single.map(f64::round),
        "total": multi.map(f64::round),
        "ratio": single.zip(multi).map(|(single, multi)| (multi / single * 1000.0).round() / 1000.0),
        "intact": outcomes.iter().all(|outcome| outcome.intact),
    })
}

/// What a policy came to.
fn policy(rule: &Rule, held: &Result<Held, String>) -> Value {
    let thousandths = |ratio: f64| (ratio * 1000.0).round() / 1000.0;
    let floor = |lowest: Option<f64>| lowest.map(|lowest| thousandths(rule.floor(lowest)));
    let mut object =
        json!({"link": rule.link, "limit": rule.rate.bits_per_second(), "free": rule.free, "failed": null});
    match held {
        Ok(held) => {
            object["seconds"] = json!(held.time.as_secs_f64());
            object["rate"] = json!(held.carried.map(f64::round));
            object["lowest"] = json!(held.lowest.map(f64::round));
            object["lowest_ratio"] = json!(floor(held.lowest));
            object["lowest_read_ratio"] = json!(floor(held.lowest_read));
            object["kept"] = json!(rule.kept(held));
            object["cannot"] = json!(held.cannot);
        }
        Err(why) => object["failed"] = json!(why),
    }
    object
}

#[cfg(test)]
mod tests;
