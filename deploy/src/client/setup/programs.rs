//! How programs get MPTCP that ask for TCP: all at once by BPF, where the kernel lets that be done; else one by one, by preloading.

use super::plan::Plan;
use super::{Step, Wanted};
use crate::client::seen::{Hook, Seen};

/// What is to be done for programs, and which way it is.
pub(super) fn programs(seen: &Seen, wanted: &Wanted, plan: &mut Plan) {
    let library =
        if seen.mptcpize { "mptcpize run PROGRAM" } else { "apt-get install mptcpize, then mptcpize run PROGRAM" };
    let one_by_one =
        |why: &str| format!("one by one, by the preload library ({library}; not for statically linked ones): {why}");
    plan.programs = match &seen.hook {
        _ if seen.mptcp.is_none() => "over one link, whatever they ask for: this kernel has no MPTCP".to_owned(),
        Hook::Bpf { attached, .. } if !wanted.bpf => {
            if attached.is_some() {
                let words = "an earlier set-up gives all programs MPTCP";
                plan.notes.push(format!("{words}: it stays until anabranch client setup --undo"));
            }
            one_by_one("--no-bpf says so")
        }
        Hook::Not(why) => one_by_one(&format!("BPF cannot do it for all of them here ({why})")),
        Hook::Bpf { namespace, tried, mounted, passing, attached } => {
            if *passing {
                plan.notes.push(
                    "this command runs among mounts of its own, as ip netns exec makes them: the BPF program's pin ends with them, and the \
                     program with it; under nsenter --net=/run/netns/NAME it lasts"
                        .to_owned(),
                );
            }
            if attached.as_ref() != Some(&wanted.except) {
                if !mounted {
                    plan.steps.push(Step::BpfFs);
                }
                let (former, except) = (attached.clone(), wanted.except.clone());
                plan.steps.push(Step::Programs { namespace: *namespace, former, except });
            }
            let known = if *tried { "tried here" } else { "this kernel has it; it is tried as root" };
            let except = wanted.except.join(", ");
            format!(
                "all of this network namespace at once, by BPF (update_socket_protocol: {known}), but for {except}; those that run \
                 already, with what they open from now on"
            )
        }
    };
}
