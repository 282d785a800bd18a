//! Operations in the order in which they do no harm.

use crate::op::Op;

/// Operations, to be put in order.
#[derive(Debug, Default)]
pub(super) struct Ordered(Vec<(u8, Op)>);

impl Ordered {
    /// Adds one where its kind belongs.
    pub(super) fn push(&mut self, op: Op) {
        self.0.push((stage(&op), op));
    }

    /// Adds one that gives a connection back what it needs now, or the pace to be given back with.
    pub(super) fn push_first(&mut self, op: Op) {
        self.0.push((u8::from(!matches!(op, Op::Promote(_) | Op::Pace { .. })), op));
    }

    /// In order; of one stage as they came.
    pub(super) fn into_ops(self) -> Vec<Op> {
        let mut ops = self.0;
        ops.sort_by_key(|(stage, _)| *stage);
        ops.into_iter().map(|(_, op)| op).collect()
    }
}

/// Bounds come before what makes them needed, a class before who is put into it, and what takes away before what gives back late.
const fn stage(op: &Op) -> u8 {
    match op {
        Op::BoundFromAccept { .. } | Op::BoundUnsent { bytes: Some(_), .. } => 2,
        Op::Demote(_) => 3,
        Op::SetClass { .. } => 4,
        Op::Put { .. } => 5,
        Op::Pace { .. } => 6,
        Op::Promote(_) => 7,
        Op::Remove { .. } => 8,
        Op::Unpace(_) => 9,
        Op::BoundUnsent { bytes: None, .. } => 10,
        Op::Total { .. } => 11,
        Op::Arm(_) => 12,
        Op::Close(_) => 13,
    }
}
