//! Files of an earlier version's, in the words of this one.

use std::path::Path;

use super::files::{Whole, everywhere, hooks, to_be_loaded};
use super::{Journal, Keeper, Plan, Step};

/// What brings the files that an earlier version wrote to what this one writes, and adds what this one has beside them. What somebody has
/// changed since, or removed, stays as it is and is named, as an undo would leave it. `has` tells the text of files that are there.
///
/// Shape:   steps whose `former` is what is there now; what was there before all of ours stays in the journal
#[must_use]
pub fn renew(journal: &Journal, keeper: Keeper, has: impl Fn(&str) -> Option<String>) -> Plan {
    let hooks = hooks(&journal.wanted, keeper, &has);
    let more = is_kept_by(journal, &hooks);
    let mut plan = Plan::default();
    for (path, text, executable) in everywhere(&journal.wanted, keeper).into_iter().chain(hooks) {
        let now = has(path);
        if now.as_ref() == Some(&text) {
            continue;
        }
        match (written(journal, path), &now) {
            (Some(_), None) => plan.notes.push(format!("/{path} has been removed since: left as it is")),
            (Some(ours), Some(there)) if !ours.contains(&there) => {
                plan.notes.push(format!("/{path} has been changed since: left as it is"));
            }
            (None, Some(_)) => plan.notes.push(format!("/{path} is somebody else's: left as it is")),
            (None, None) if !more => {}
            (Some(_), Some(_)) | (None, None) => {
                plan.steps.push(Step::File { path: path.to_owned(), former: now, text, earlier: None, executable });
            }
        }
    }
    plan.notes.extend(to_be_loaded(&plan.steps));
    plan
}

/// What was written there, or was to be.
fn written<'a>(journal: &'a Journal, wanted: &str) -> Option<Vec<&'a String>> {
    journal.steps.iter().find_map(|step| match step {
        Step::File { path, text, earlier, .. } if path == wanted => Some(earlier.iter().chain([text]).collect()),
        _ => None,
    })
}

/// Whether it was this one who was to have the set-up done again: there are hooks of ours where its hooks are, if by other names.
fn is_kept_by(journal: &Journal, hooks: &[Whole]) -> bool {
    let place = |path: &str| Path::new(path).parent().map(Path::to_owned);
    let places: Vec<_> = hooks.iter().map(|(path, ..)| place(path)).collect();
    journal.steps.iter().any(|step| matches!(step, Step::File { path, .. } if places.contains(&place(path))))
}
