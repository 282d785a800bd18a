//! How policies are carried out, and what they are about.
//!
//! Called by `Config::to_toml`.

use super::Printer;
use crate::{Action, Path, Percent, Policy, Select, Steering, Subscriber};

pub(super) fn print_steering(out: &mut Printer, steering: &Steering) {
    let Steering { mode, path_manager, interval, lease, interfaces, table, device, subflows, on_stop, adopt, usage } =
        steering;
    out.section("[steering]", "how policies are carried out");
    out.text("mode", mode, "act, or observe: decide and log, touch nothing; default act");
    out.text(
        "path_manager",
        path_manager,
        "auto, userspace or kernel; default auto: taken over while a policy needs it",
    );
    out.time(
        "interval",
        *interval,
        "how often policies are asked, 20 ms to 1 s, at most a quarter of the lease; default 100 ms",
    );
    out.time("lease", *lease, "how long what nobody renews lasts, 1 s to 10 s; default 10 s");
    out.list("interfaces", interfaces, "where clients' packets pass; default: every one with an address");
    out.text("table", table, "our nftables table; default anabranch");
    out.text("device", device, "our IFB; default anabranch0");
    out.bare("subflows", subflows, "the most under a class at once; default 20000");
    out.text("on_stop", on_stop, "clear, or keep: leave it to a successor; default clear");
    out.bare("adopt", adopt, "whether what is somebody else's under our names is taken over; default false");
    out.file("usage", usage.as_deref(), "the file in which usage survives a restart; default: in memory");
}

pub(super) fn print_path(out: &mut Printer, Path { name, client, interface, cost, capacity, line }: &Path) {
    out.section("[[path]]", "an access network");
    out.text("name", name, "as policies call it");
    if client.is_empty() {
        out.line("# client: the addresses of clients on it; default: any");
    } else {
        out.list("client", client, "the addresses of clients on it; default: any");
    }
    out.optional("interface", interface.as_ref(), "the interface its subflows use; default: any");
    out.bare("cost", cost, "compared with the other paths; default 1");
    out.optional("capacity", capacity.as_ref(), "what it carries at most, for all together; default: not known");
    out.optional("line", line.as_ref(), "what one subscriber's line of it carries; default: capacity, or learned");
}

pub(super) fn print_subscriber(out: &mut Printer, Subscriber { name, client }: &Subscriber) {
    out.section("[[subscriber]]", "whoever pays for a line");
    out.text("name", name, "also the user name of its credentials");
    out.list("client", client, "its addresses; default: known by its credentials");
}

pub(super) fn print_policy(out: &mut Printer, Policy { name, select, action, enforce, dwell }: &Policy) {
    out.section("[[policy]]", "what should be true of the subflows of a path");
    out.text("name", name, "as status calls it");
    print_select(out, select);
    out.text("action", action.as_str(), "overflow, backup, share, close or limit");
    match action {
        Action::Overflow { limit, after, hold } => {
            out.optional("limit", limit.as_ref(), "the most it carries when open; default: what it can");
            out.time("after", *after, "how long the cheaper paths have to be full; default 1 s");
            out.time("hold", *hold, "how long they have to suffice before it closes; default 5 s");
        }
        Action::Backup | Action::Close => {}
        Action::Share { percent } => out.bare("percent", percent, "of each connection's bytes, 1 to 99"),
        Action::Limit { rate, burst, ceil, per, directions } => {
            out.text("rate", rate, "the most it carries, 8 kbit/s to 1000 Gbit/s");
            out.optional(
                "burst",
                burst.as_ref(),
                "what it may carry at once, 1600 B to 4 min of the rate; default: what suits the rate",
            );
            out.optional("ceil", ceil.as_ref(), "the most while something is left over; default: the rate");
            out.text("per", per, "subscriber, connection, subflow or policy; default subscriber");
            out.text("direction", directions, "download, upload or both; default download");
        }
    }
    out.text("enforce", enforce, "steer, or always: a contract; default steer");
    out.time("dwell", *dwell, "least time between changes of mind by what is measured; default 2 s");
}

fn print_select(out: &mut Printer, select: &Select) {
    let Select {
        paths,
        subscribers,
        listeners,
        subflow,
        destinations,
        ports,
        when,
        used,
        load_above,
        rtt_above,
        loss_above,
    } = select;
    out.some("path", paths, "names of [[path]]s; default: the whole of connections, of a limit only");
    out.some("subscriber", subscribers, "names of [[subscriber]]s; default: everybody");
    out.some("listener", listeners, "names of [[listener]]s; default: all");
    out.optional("subflow", subflow.as_ref(), "initial or joined; default: both");
    out.some("destination", destinations, "addresses of origins; default: all");
    match ports.as_slice() {
        [] => out.line("# port: ports of origins; default: all"),
        ports => out.bare("port", format_args!("{ports:?}"), "ports of origins; default: all"),
    }
    out.some("when", when.as_ref().map_or(&[][..], |when| when.windows()), "days and times; default: always");
    let zone = when.as_ref().map(|when| when.zone()).or_else(|| used.as_ref().map(|used| &used.zone));
    out.optional("zone", zone, "the time zone of when and of used_per; default of used_per: UTC");
    out.optional(
        "used_above",
        used.as_ref().map(|used| used.above).as_ref(),
        "once so much was used; default: at once",
    );
    out.optional("used_per", used.as_ref().map(|used| used.per).as_ref(), "in a connection, day, week or month");
    let percent = |out: &mut Printer, key: &str, percent: &Option<Percent>, about: &str| match percent {
        Some(percent) => out.bare(key, percent, about),
        None => out.line(&format!("# {key}: {about}")),
    };
    percent(out, "load_above", load_above, "while the path carries more of its capacity, in percent; default: always");
    match rtt_above {
        Some(rtt) => out.time("rtt_above", *rtt, "while the round-trip time is longer; default: always"),
        None => out.line("# rtt_above: while the round-trip time is longer; default: always"),
    }
    percent(out, "loss_above", loss_above, "while more is sent again, in percent; default: always");
}
