//! What a seed does: when which policies come and go, and when which path fails and recovers.
//!
//! Called by the experiment. Pure. Invariant: the same seed gives the same plan; at most one path is cut at a time, and for long enough
//! to be judged.

use std::fmt;
use std::time::Duration;

use crate::experiment::steer::ms;
use crate::experiment::steer::policies::name;
use crate::topology::Cut;

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Policies come, told in short and as text.
    Apply(String, String),
    /// All policies go.
    Clear,
    /// A link dies.
    Cut(u8, Cut),
    /// It is back.
    Restore(u8, Cut),
}

/// When it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) what: What,
}

/// All that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) end: Duration,
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 20) % bound.max(1)
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap_or(0)]
    }
}

impl Plan {
    /// The plan of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66_D1CE_CAFE);
        // A client whose subflow was closed has one path, and its failure is nobody's to mend: there, none fails.
        let closes = seed % 5 == 4;
        let (mut steps, mut at, mut cut) = (Vec::new(), ms(1_500 + random.below(700)), None);
        while at < ms(6_500) {
            let what = match (random.below(10), cut) {
                (0..=3, Some((link, how))) => {
                    cut = None;
                    What::Restore(link, how)
                }
                (0..=2, None) if !closes && !steps.is_empty() => {
                    let (link, how) = (random.one_of(&[1, 2]), random.one_of(&[Cut::Down, Cut::Silent]));
                    cut = Some((link, how));
                    What::Cut(link, how)
                }
                (4..=5, _) if !steps.is_empty() => What::Clear,
                _ => apply(&mut random, closes),
            };
            let cuts = matches!(what, What::Cut(..));
            steps.push(Step { at, what });
            // A cut lasts for as long as it takes to judge what comes after it.
            at += ms(if cuts { 2_200 } else { 300 } + random.below(900));
        }
        if let Some((link, how)) = cut {
            steps.push(Step { at, what: What::Restore(link, how) });
        }
        Self { steps, end: at + ms(1_500) }
    }
}

fn apply(random: &mut Random, closes: bool) -> What {
    let (mut words, mut text) = (Vec::new(), String::new());
    for number in 0..=random.below(2) {
        let link = random.one_of(&[1, 2]);
        let (action, keys) = match random.below(if closes { 11 } else { 10 }) {
            0..=4 => {
                let per = random.one_of(&["subscriber", "connection", "subflow", "policy"]);
                ("limit", format!("rate = \"{} Mbit/s\"\nper = \"{per}\"\n", 1 + random.below(20)))
            }
            5..=6 => ("backup", String::new()),
            7..=8 => ("share", format!("percent = {}\n", 10 + random.below(80))),
            // Nothing is dearer than the cheapest path but the other one.
            9 => ("overflow", String::new()),
            _ => ("close", String::new()),
        };
        let link = if action == "overflow" { 2 } else { link };
        let kind = random.one_of(&["", "", "subflow = \"joined\"\n", "subflow = \"initial\"\n"]);
        words.push(format!("{action} {link}"));
        text += &format!(
            "[[policy]]\nname = \"{action} {number}\"\npath = \"{}\"\naction = \"{action}\"\n{keys}{kind}\n",
            name(link)
        );
    }
    What::Apply(words.join(", "), text)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Step { at, what }) in self.steps.iter().enumerate() {
            let comma = if number == 0 { "" } else { "; " };
            write!(f, "{comma}{:.1} ", at.as_secs_f64())?;
            match what {
                What::Apply(words, _) => f.write_str(words)?,
                What::Clear => f.write_str("clear")?,
                What::Cut(link, cut) => write!(f, "cut {link} {cut:?}")?,
                What::Restore(link, _) => write!(f, "back {link}")?,
            }
        }
        Ok(())
    }
}
