//! The index against a dictionary of sets, and what such a model cannot see: slots, generations, reuse.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Rooms by socket.
type Model = BTreeMap<String, BTreeSet<String>>;

fn joined(index: &mut Rooms, id: &str, rooms: &[&str]) -> SlotId {
    let socket = index.add(id).unwrap();
    for room in rooms {
        assert!(index.join(socket, room));
    }
    socket
}

fn select(index: &mut Rooms, to: &[&str], all_of: &[&str], except: &[&str]) -> Vec<u32> {
    let selection = Selection { to, all_of, except };
    let mut slots = index.select(selection, |slot| slot);
    slots.sort_unstable();
    slots
}

#[test]
fn a_slot_is_reused_with_the_next_generation() {
    let mut index = Rooms::new();
    let first = joined(&mut index, "a", &["r"]);
    index.remove("a").unwrap();
    let second = index.add("b").unwrap();
    assert_eq!(first.slot, second.slot);
    assert_eq!(second.generation, first.generation + 1);
    assert_eq!(index.id(first), None);
    assert_eq!(index.id(second), Some("b"));
    assert!(!index.join(first, "r"));
    assert_eq!(index.members("r"), 0);
    index.join(second, "r");
    assert!(!index.leave(first, "r"));
    assert_eq!(index.rooms_of(first).count(), 0);
    assert_eq!(index.members("r"), 1);
}

#[test]
fn a_slot_is_not_reused_when_its_generations_are_used_up() {
    let mut index = Rooms::new();
    let socket = index.add("a").unwrap();
    index.sockets[socket.slot as usize].generation = u32::MAX;
    index.remove("a").unwrap();
    assert_ne!(index.add("b").unwrap().slot, socket.slot);
}

#[test]
fn an_id_stands_for_its_socket_alone() {
    let mut index = Rooms::new();
    let eavesdropper = joined(&mut index, "eve", &["alice"]);
    assert_eq!(
        select(&mut index, &["alice"], &[], &[]),
        [eavesdropper.slot]
    );
    let alice = joined(&mut index, "alice", &["r"]);
    assert!(!index.join(alice, "alice"));
    assert!(!index.leave(alice, "alice"));
    assert!(index.join(eavesdropper, "r"));
    assert_eq!(index.members("alice"), 1);
    assert_eq!(select(&mut index, &["alice"], &[], &[]), [alice.slot]);
    assert_eq!(select(&mut index, &[], &["alice", "r"], &[]), [alice.slot]);
    assert_eq!(select(&mut index, &["r"], &["alice"], &[]), [alice.slot]);
    assert_eq!(
        select(&mut index, &["r"], &[], &["alice"]),
        [eavesdropper.slot]
    );
    assert!(index.leave(eavesdropper, "alice"));
    assert_eq!(select(&mut index, &["alice"], &[], &[]), [alice.slot]);
}

#[test]
fn rooms_that_do_not_exist_are_empty() {
    let mut index = Rooms::new();
    joined(&mut index, "a", &["r"]);
    assert!(select(&mut index, &["none"], &[], &[]).is_empty());
    assert!(select(&mut index, &["r"], &["none"], &[]).is_empty());
    assert_eq!(select(&mut index, &["r", "none"], &[], &["none"]).len(), 1);
}

#[test]
fn removing_returns_the_rooms_that_are_gone() {
    let mut index = Rooms::new();
    joined(&mut index, "a", &["r", "s"]);
    let b = joined(&mut index, "b", &["s"]);
    let removed = index.remove("a").unwrap();
    assert_eq!(removed.rooms, [Box::from("r")]);
    assert_eq!(index.remove("a"), None);
    assert_eq!(index.names().collect::<Vec<_>>(), ["s"]);
    assert_eq!(select(&mut index, &[], &[], &[]), [b.slot]);
}

#[test]
fn memory_of_many_rooms_is_released_with_the_last() {
    let mut index = Rooms::new();
    let socket = index.add("a").unwrap();
    for i in 0..=KEPT_ROOMS {
        index.join(socket, &i.to_string());
    }
    assert_eq!(index.remove("a").unwrap().rooms.len(), KEPT_ROOMS + 1);
    assert_eq!(index.by_number.capacity(), 0);
    joined(&mut index, "a", &["r"]);
    assert_eq!(index.members("r"), 1);
}

#[test]
fn selections_after_a_panic_are_right() {
    let mut index = Rooms::new();
    for id in ["a", "b"] {
        joined(&mut index, id, &["r"]);
    }
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let selection = Selection {
            to: &["r"],
            all_of: &[],
            except: &[],
        };
        index.select(selection, |_| panic!("a pick that panics"))
    }));
    assert!(panicked.is_err());
    assert_eq!(select(&mut index, &["a"], &[], &[]).len(), 1);
}

/// Rooms in all forms: (first slot, step, members).
const SHAPES: [(usize, usize, usize); 6] = [
    (0, 1, 9_000),
    (4_500, 1, 9_000),
    (3, 8, 2_000),
    (70_000, 1, 2),
    (0, 700, 100),
    (5, 60, 1_100),
];

#[test]
fn selections_of_rooms_in_every_form_agree_with_sets() {
    let mut index = Rooms::new();
    let sockets: Vec<SlotId> = (0..70_500)
        .map(|i| index.add(&format!("id{i}")).unwrap())
        .collect();
    let mut model = BTreeMap::new();
    for (number, &(first, step, count)) in SHAPES.iter().enumerate() {
        let name = format!("r{number}");
        for socket in sockets.iter().skip(first).step_by(step).take(count).rev() {
            assert!(index.join(*socket, &name));
            model
                .entry(name.clone())
                .or_insert_with(BTreeSet::new)
                .insert(socket.slot);
        }
    }
    let names: Vec<&String> = model.keys().collect();
    for a in &names {
        for b in &names {
            let ((a, left), (b, right)) = ((a.as_str(), &model[*a]), (b.as_str(), &model[*b]));
            let union: Vec<u32> = (left | right).into_iter().collect();
            assert_eq!(select(&mut index, &[a, b], &[], &[]), union);
            let both: Vec<u32> = (left & right).into_iter().collect();
            assert_eq!(select(&mut index, &[], &[a, b], &[]), both);
            assert_eq!(select(&mut index, &[a], &[b], &[]), both);
            let rest: Vec<u32> = (left - right).into_iter().collect();
            assert_eq!(select(&mut index, &[a], &[], &[b]), rest);
        }
    }
    assert_eq!(select(&mut index, &[], &[], &["r0"]).len(), 70_500 - 9_000);
}

#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    Remove(usize),
    Join(usize, usize),
    Leave(usize, usize),
    Select(Vec<usize>, Vec<usize>, Vec<usize>),
}

/// Ids and rooms share names, so that own rooms and rooms of the same name meet.
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "x", "y", "é"];

fn step() -> impl Strategy<Value = Step> {
    let names = || prop::collection::vec(0..NAMES.len(), 0..3);
    prop_oneof![
        2 => (0..5usize).prop_map(Step::Add),
        1 => (0..5usize).prop_map(Step::Remove),
        6 => (0..5usize, 0..NAMES.len()).prop_map(|(id, room)| Step::Join(id, room)),
        2 => (0..5usize, 0..NAMES.len()).prop_map(|(id, room)| Step::Leave(id, room)),
        3 => (names(), names(), names()).prop_map(|(to, all_of, except)| Step::Select(to, all_of, except)),
    ]
}

fn named(model: &Model, name: &str) -> BTreeSet<String> {
    if model.contains_key(name) {
        return BTreeSet::from([name.to_owned()]);
    }
    let inside = model.iter().filter(|(_, rooms)| rooms.contains(name));
    inside.map(|(id, _)| id.clone()).collect()
}

fn expected(model: &Model, to: &[&str], all_of: &[&str], except: &[&str]) -> BTreeSet<String> {
    let mut picked: BTreeSet<String> = if to.is_empty() {
        model.keys().cloned().collect()
    } else {
        to.iter().flat_map(|name| named(model, name)).collect()
    };
    for name in all_of {
        picked = &picked & &named(model, name);
    }
    for name in except {
        picked = &picked - &named(model, name);
    }
    picked
}

fn names_of(model: &Model) -> BTreeSet<&str> {
    model.values().flatten().map(String::as_str).collect()
}

proptest! {
    #[test]
    fn the_index_agrees_with_a_dictionary_of_sets(steps in prop::collection::vec(step(), 0..120)) {
        let (mut index, mut model) = (Rooms::new(), Model::new());
        for step in steps {
            match step {
                Step::Add(id) => {
                    let is_new = !model.contains_key(NAMES[id]);
                    prop_assert_eq!(index.add(NAMES[id]).is_some(), is_new);
                    model.entry(NAMES[id].to_owned()).or_default();
                }
                Step::Remove(id) => {
                    let before: BTreeSet<String> = names_of(&model).into_iter().map(str::to_owned).collect();
                    let was_there = model.remove(NAMES[id]).is_some();
                    let removed = index.remove(NAMES[id]);
                    prop_assert_eq!(removed.is_some(), was_there);
                    let gone: BTreeSet<String> = removed.into_iter().flat_map(|it| it.rooms).map(String::from).collect();
                    let left = names_of(&model);
                    prop_assert_eq!(gone, before.into_iter().filter(|name| !left.contains(name.as_str())).collect());
                }
                Step::Join(id, room) => {
                    let expected = NAMES[id] != NAMES[room]
                        && model.get_mut(NAMES[id]).is_some_and(|rooms| rooms.insert(NAMES[room].to_owned()));
                    let joined = index.find(NAMES[id]).is_some_and(|socket| index.join(socket, NAMES[room]));
                    prop_assert_eq!(joined, expected);
                }
                Step::Leave(id, room) => {
                    let expected = model.get_mut(NAMES[id]).is_some_and(|rooms| rooms.remove(NAMES[room]));
                    let left = index.find(NAMES[id]).is_some_and(|socket| index.leave(socket, NAMES[room]));
                    prop_assert_eq!(left, expected);
                }
                Step::Select(to, all_of, except) => {
                    let names = |numbers: Vec<usize>| numbers.into_iter().map(|n| NAMES[n]).collect::<Vec<_>>();
                    let (to, all_of, except) = (names(to), names(all_of), names(except));
                    let ids: BTreeMap<u32, &str> =
                        NAMES.iter().filter_map(|id| Some((index.find(id)?.slot, *id))).collect();
                    let slots = select(&mut index, &to, &all_of, &except);
                    let picked: BTreeSet<String> = slots.iter().map(|slot| ids[slot].to_owned()).collect();
                    prop_assert_eq!(picked.len(), slots.len());
                    prop_assert_eq!(picked, expected(&model, &to, &all_of, &except));
                }
            }
            prop_assert_eq!(index.len(), model.len());
            prop_assert_eq!(index.names().collect::<BTreeSet<_>>(), names_of(&model));
            prop_assert_eq!(index.names().len(), names_of(&model).len());
            for name in NAMES {
                prop_assert_eq!(index.members(name), named(&model, name).len());
            }
            for (id, rooms) in &model {
                let socket = index.find(id).unwrap();
                let found: Vec<&str> = index.rooms_of(socket).collect();
                prop_assert_eq!(found.len(), rooms.len());
                prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), rooms.iter().map(String::as_str).collect());
            }
        }
    }
}
