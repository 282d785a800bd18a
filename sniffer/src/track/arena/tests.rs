use super::*;

fn order(arena: &Arena<char, 2>, list: u8) -> String {
    let mut found = String::new();
    let mut next = arena.lists[usize::from(list)].oldest;
    while let Some(slot) = arena.slots.get(next as usize) {
        found.extend(slot.value);
        next = slot.younger;
    }
    found
}

#[test]
fn values_are_in_the_order_they_were_touched() {
    let at = Duration::from_secs;
    let mut arena = Arena::<char, 2>::default();
    let slots: Vec<_> = ('a'..='d').zip(0..).map(|(value, n)| arena.insert(value, 0, at(n)).unwrap()).collect();
    assert_eq!(order(&arena, 0), "abcd");
    arena.touch(slots[0], at(10));
    arena.touch(slots[2], at(10));
    assert_eq!((order(&arena, 0), arena.oldest(0)), ("bdac".into(), Some((slots[1], at(1)))));
    // Not old enough to be worth a move.
    arena.touch(slots[0], at(10) + Duration::from_millis(999));
    assert_eq!(order(&arena, 0), "bdac");
    arena.shift(slots[3], 1, at(11));
    assert_eq!((order(&arena, 0), order(&arena, 1), arena.list(slots[3])), ("bac".into(), "d".into(), Some(1)));
    for (slot, left) in [(slots[0], "bc"), (slots[1], "c"), (slots[2], "")] {
        assert!(arena.remove(slot).is_some());
        assert_eq!((order(&arena, 0), arena.remove(slot)), (left.into(), None));
    }
    assert_eq!((arena.len(), arena.oldest(0), arena.oldest(1)), (1, None, Some((slots[3], at(11)))));
}

#[test]
fn free_slots_are_used_again() {
    let mut arena = Arena::<char, 2>::default();
    for _ in 0..100 {
        let slots: Vec<_> = "xyz".chars().map(|value| arena.insert(value, 1, Duration::ZERO).unwrap()).collect();
        assert_eq!(order(&arena, 1), "xyz");
        slots.into_iter().for_each(|slot| _ = arena.remove(slot));
    }
    assert_eq!((arena.slots.len(), arena.len(), arena.iter().count()), (3, 0, 0));
    arena.touch(0, Duration::MAX);
    arena.shift(7, 0, Duration::ZERO);
    assert_eq!((arena.get(0), arena.list(0), arena.oldest(0)), (None, None, None));
}
