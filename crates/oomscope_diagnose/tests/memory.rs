//! What a recording says, on small made-up programs: each test is a program in a few lines.

use std::collections::BTreeMap;

use oomscope_model::{Bytes, Limit, Moment, Role, SnapshotEvidence};
use oomscope_snapshot::fixture::{Node, block, event, frame, segment, snapshot};
use oomscope_snapshot::read;
use oomscope_snapshot::summarise;

const MIB: i64 = 1 << 20;
const TORCH: &str = "/opt/venv/lib/python3.11/site-packages/torch";

/// A program that allocates and frees while the recorder runs.
#[derive(Default)]
struct Program {
    events: Vec<Node>,
    live: BTreeMap<i64, (i64, Node)>,
    top: i64,
}

/// Frames, innermost first: the user's as (function, line) of `train.py`.
fn stack(user: &[(&str, i64)]) -> Node {
    Node::List(
        user.iter().map(|(function, line)| frame("/workspace/train.py", function, *line)).collect(),
    )
}

/// The same below library frames, innermost first, as (file below torch, function).
fn below(library: &[(&str, &str)], user: &[(&str, i64)]) -> Node {
    let library =
        library.iter().map(|(file, function)| frame(&format!("{TORCH}/{file}"), function, 1));
    let user = user.iter().map(|(function, line)| frame("/workspace/train.py", function, *line));
    Node::List(library.chain(user).collect())
}

impl Program {
    fn alloc(&mut self, size: i64, frames: Node) -> i64 {
        let addr = 0x7000_0000 + self.top;
        self.top += size;
        self.events.push(event("alloc", addr, size, frames.clone()));
        self.live.insert(addr, (size, frames));
        addr
    }

    fn free(&mut self, addr: i64) {
        let (size, frames) = self.live.remove(&addr).expect("it is live");
        self.events.push(event("free_requested", addr, size, frames.clone()));
        self.events.push(event("free_completed", addr, size, frames));
    }

    fn fail(&mut self, size: i64, frames: Node) {
        self.events.push(event("oom", MIB, size, frames));
    }

    /// Parameters, built in a loop.
    fn build(&mut self) {
        for layer in 0..4 {
            for line in [10, 11] {
                let user = [("__init__", line), ("main", 40)];
                self.alloc(
                    2 * MIB + layer * 512,
                    below(&[("nn/modules/linear.py", "__init__")], &user),
                );
            }
        }
    }

    /// A forward pass called from `main` at `line`: three layers, two blocks each.
    fn forward(&mut self, line: i64) -> Vec<i64> {
        let mut blocks = Vec::new();
        for _ in 0..3 {
            for own in [20, 21] {
                let library =
                    [("nn/functional.py", "linear"), ("nn/modules/module.py", "_call_impl")];
                blocks.push(
                    self.alloc(3 * MIB, below(&library, &[("forward", own), ("main", line)])),
                );
            }
        }
        blocks
    }

    fn backward(&mut self, line: i64, blocks: Vec<i64>) {
        let library = [("autograd/graph.py", "_engine_run_backward"), ("_tensor.py", "backward")];
        let temporary = self.alloc(MIB, below(&library, &[("main", line)]));
        for addr in blocks {
            self.free(addr);
        }
        self.free(temporary);
    }

    fn summarise(self, ring: usize) -> SnapshotEvidence {
        let cut = self.events.len().saturating_sub(ring);
        let total = self.top + MIB;
        let (mut blocks, mut at) = (Vec::new(), 0x7000_0000);
        for (addr, (size, frames)) in self.live {
            if addr > at {
                blocks.push(block(at, addr - at, 0, "inactive", Node::List(Vec::new())));
            }
            blocks.push(block(addr, size, size, "active_allocated", frames));
            at = addr + size;
        }
        blocks.push(block(at, 0x7000_0000 + total - at, 0, "inactive", Node::List(Vec::new())));
        let segments = vec![segment(0x7000_0000, total, "large", blocks)];
        let bytes = snapshot(segments, vec![self.events.into_iter().skip(cut).collect()]);
        let snapshot = read(&bytes).expect("the fixture is whole");
        assert!(snapshot.problems.is_empty(), "{:?}", snapshot.problems);
        summarise("made.pickle", &snapshot, None).remove(0)
    }
}

const ALL: usize = usize::MAX;

#[test]
fn a_healthy_loop_has_steps_and_no_growth() {
    let mut program = Program::default();
    program.build();
    for _ in 0..8 {
        let batch = program.alloc(MIB, stack(&[("main", 50)]));
        let blocks = program.forward(51);
        program.backward(52, blocks);
        program.free(batch);
    }
    let evidence = program.summarise(ALL);
    assert_eq!(evidence.growth, None);
    assert_eq!((evidence.steps_seen, evidence.backward_runs), (7, 8));
    assert!(matches!(evidence.moment, Moment::Peak { .. }));
}

#[test]
fn a_kept_graph_is_growth_of_many_operations() {
    let mut program = Program::default();
    program.build();
    for _ in 0..8 {
        program.alloc(MIB, stack(&[("main", 50)]));
        let blocks = program.forward(51);
        program.backward(52, blocks);
        program.forward(53);
    }
    program.fail(3 * MIB, stack(&[("forward", 20), ("main", 53)]));
    let evidence = program.summarise(ALL);
    let growth = evidence.growth.expect("18 MiB a step stay");
    assert_eq!(growth.per_period, Some(Bytes::from_mib(19)));
    assert_eq!(growth.stacks_per_period, 3);
    assert!(growth.backward_ran && !growth.blocks_get_larger);
    assert_eq!(growth.lines[0].role, Role::Activations);
    assert!(growth.call_kept_percent.is_some_and(|percent| percent > 28));
    let held: Bytes = evidence.holders.iter().map(|holder| holder.bytes).sum();
    assert_eq!(held, evidence.state.allocated);
}

#[test]
fn losses_summed_in_an_inner_loop_are_one_step() {
    let mut program = Program::default();
    program.build();
    for step in 0..3 {
        let mut kept = Vec::new();
        for _ in 0..6 {
            kept.push(program.alloc(MIB, stack(&[("main", 50)])));
            kept.extend(program.forward(51));
        }
        if step < 2 {
            program.backward(60, kept);
        }
    }
    program.fail(3 * MIB, stack(&[("forward", 20), ("main", 51)]));
    assert_eq!(program.summarise(ALL).growth, None);
}

#[test]
fn a_validation_loop_on_one_line_has_periods_of_its_own() {
    let mut program = Program::default();
    program.build();
    for _ in 0..5 {
        let batch = program.alloc(MIB, stack(&[("main", 50)]));
        let blocks = program.forward(51);
        program.backward(52, blocks);
        program.free(batch);
    }
    for _ in 0..20 {
        program.alloc(MIB, stack(&[("move", 5), ("validate", 30), ("main", 70)]));
        for line in [80, 81] {
            program.alloc(
                4 * MIB,
                below(
                    &[("nn/functional.py", "linear")],
                    &[("valid_step", line), ("validate", 30), ("main", 70)],
                ),
            );
        }
    }
    program.fail(4 * MIB, stack(&[("valid_step", 80), ("validate", 30), ("main", 70)]));
    let growth = program.summarise(ALL).growth.expect("each validation batch stays");
    assert!(growth.growing_periods >= 15, "{growth:?}");
    assert!(!growth.backward_ran);
}

#[test]
fn a_full_ring_buffer_is_no_growth() {
    let mut program = Program::default();
    program.build();
    let frames = || stack(&[("main", 53)]);
    let mut buffer: Vec<i64> = (0..40).map(|_| program.alloc(2 * MIB, frames())).collect();
    for _ in 0..60 {
        let batch = program.alloc(MIB, stack(&[("main", 50)]));
        let blocks = program.forward(51);
        program.backward(52, blocks);
        let added = program.alloc(2 * MIB, frames());
        buffer.push(added);
        program.free(buffer.remove(0));
        program.free(batch);
    }
    assert_eq!(program.summarise(800).growth, None);
}

#[test]
fn a_validation_by_the_training_s_own_function_is_a_loop_of_its_own() {
    let mut program = Program::default();
    program.build();
    let call = |own: i64, line: i64| {
        let library = [("nn/functional.py", "linear"), ("nn/modules/module.py", "_call_impl")];
        below(&library, &[("forward", own), ("run_epoch", 30), ("main", line)])
    };
    for _ in 0..14 {
        let batch = program.alloc(MIB, stack(&[("run_epoch", 29), ("main", 64)]));
        let blocks = [20, 21].map(|own| program.alloc(3 * MIB, call(own, 64)));
        program.backward(64, blocks.to_vec());
        program.free(batch);
    }
    for _ in 0..5 {
        program.alloc(MIB, stack(&[("run_epoch", 29), ("main", 65)]));
        for own in [20, 21] {
            program.alloc(3 * MIB, call(own, 65));
        }
    }
    program.fail(3 * MIB, call(20, 65));
    let growth = program.summarise(ALL).growth.expect("no backward frees the validation's graphs");
    assert_eq!(growth.per_period, Some(Bytes::from_mib(7)));
    assert!(!growth.backward_ran);
}

#[test]
fn building_a_model_in_a_loop_is_no_step() {
    let mut program = Program::default();
    for layer in 0..12 {
        for line in [10, 11, 12] {
            let user = [("__init__", line), ("main", 40)];
            program.alloc(
                2 * MIB + layer * 512,
                below(&[("nn/modules/linear.py", "__init__")], &user),
            );
        }
    }
    program.fail(
        2 * MIB,
        below(&[("optim/adam.py", "_init_group"), ("optim/adam.py", "step")], &[("main", 44)]),
    );
    let evidence = program.summarise(ALL);
    assert_eq!((evidence.growth, evidence.steps_seen), (None, 0));
    assert_eq!(evidence.roles[0].0, Role::Parameters);
}

#[test]
fn a_ring_of_two_turns_still_shows_what_is_too_old() {
    let mut program = Program::default();
    program.build();
    for _ in 0..30 {
        program.alloc(MIB, stack(&[("main", 50)]));
        let blocks = program.forward(51);
        program.backward(52, blocks);
        program.forward(53);
    }
    program.fail(3 * MIB, stack(&[("forward", 20), ("main", 53)]));
    let evidence = program.summarise(60);
    let growth = evidence.growth.expect("forward blocks of steps long gone are live");
    assert!(growth.total > Bytes::from_mib(400), "{}", growth.total);
    assert!(
        evidence
            .limits
            .iter()
            .any(|limit| matches!(limit, Limit::RingWrapped | Limit::RecordingBeganLate))
    );
}

#[test]
fn a_concatenated_cache_gets_larger_and_keeps_nothing_old() {
    let mut program = Program::default();
    program.build();
    let mut cache: Option<i64> = None;
    for token in 1..=12 {
        let logits = program.alloc(MIB, stack(&[("generate", 60), ("main", 70)]));
        let next = program
            .alloc(token * 4 * MIB, stack(&[("attend", 17), ("generate", 61), ("main", 70)]));
        if let Some(old) = cache.replace(next) {
            program.free(old);
        }
        program.free(logits);
    }
    program.fail(52 * MIB, stack(&[("attend", 17), ("generate", 61), ("main", 70)]));
    let growth = program.summarise(ALL).growth.expect("the cache grows");
    assert!(growth.blocks_get_larger);
    assert_eq!(growth.lines[0].place.as_ref().map(|place| place.line), Some(17));
}

#[test]
fn a_caught_failure_is_rewound_to_its_moment() {
    let mut program = Program::default();
    program.build();
    let blocks = program.forward(51);
    program.fail(512 * MIB, stack(&[("forward", 20), ("main", 51)]));
    for addr in blocks {
        program.free(addr);
    }
    for _ in 0..200 {
        let small = program.alloc(MIB, stack(&[("main", 55)]));
        program.free(small);
    }
    let evidence = program.summarise(ALL);
    assert!(matches!(evidence.moment, Moment::Oom { requested: Bytes(536_870_912), .. }));
    assert_eq!(
        evidence.state.allocated.checked_sub(evidence.end.allocated),
        Some(Bytes::from_mib(18))
    );
}

#[test]
fn the_backward_thread_s_blocks_of_a_parameter_s_size_are_gradients() {
    let mut program = Program::default();
    program.build();
    program.alloc(MIB, stack(&[("main", 50)]));
    for layer in 0..4 {
        program.alloc(2 * MIB + layer * 512, Node::List(Vec::new()));
    }
    program.alloc(5 * MIB, Node::List(Vec::new()));
    let evidence = program.summarise(ALL);
    let of =
        |role| evidence.roles.iter().find(|(other, _)| *other == role).map(|(_, bytes)| bytes.0);
    assert_eq!(of(Role::Gradients), Some(4 * 2 * MIB as u64 + 6 * 512));
    assert_eq!(of(Role::BackwardTemporaries), Some(5 * MIB as u64));
}
