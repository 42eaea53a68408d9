//! How fast the model runs: `cargo bench -p oomscope_allocator [-- EVENTS]` on a made-up training
//! run of about a million events, the same every time.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::time::Instant;

use oomscope_allocator::{
    Capacity, Program, Release, Settings, Setup, candidates, follow, record, replay, tune,
};
use oomscope_model::{Bytes, Event, EventKind, StackId};

const ROUNDS: usize = 5;
const RELEASE: Release = Release::NEWEST;
const LIMITLESS: Capacity = Capacity { available: u64::MAX, total: 80 << 30 };

fn main() {
    let argument = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let asked = training(argument.unwrap_or(1_000_000));
    let program = program_of(&asked);
    let recording = record(&program, &Settings::default(), RELEASE, LIMITLESS);
    let events = recording.events();
    println!("{} events, {} requests", events.len(), program.requests());

    let setup =
        Setup { settings: Settings::default(), release: RELEASE, allowed: None, start: &[] };
    assert!(follow(events, &setup).divergence.is_none(), "the model follows itself");
    speed("follow", events.len(), || follow(events, &setup).program.steps());
    for conf in
        ["", "expandable_segments:True", "max_split_size_mb:128", "roundup_power2_divisions:4"]
    {
        let settings = Settings::parse(conf, RELEASE).expect("good settings");
        let name = if conf.is_empty() { "replay" } else { conf };
        speed(name, events.len(), || {
            replay(&program, &settings, RELEASE, LIMITLESS, &mut ()).segments
        });
    }
    let all = candidates(RELEASE);
    let begin = Instant::now();
    let tuning = tune(&program, &Settings::default(), RELEASE, None, &all);
    let seconds = begin.elapsed().as_secs_f64();
    println!("{:<28} {seconds:6.2} s, {} settings", "tune", tuning.trials.len());
}

/// Prints the best of some rounds, in million events a second.
fn speed(name: &str, events: usize, run: impl Fn() -> usize) {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        std::hint::black_box(run());
        best = best.min(begin.elapsed().as_secs_f64());
    }
    println!("{name:<28} {:6.1} M events/s", events as f64 / best / 1e6);
}

/// Requests and frees alone: what the allocator made of them is filled in by the model.
fn program_of(asked: &[Event]) -> Program {
    let settings = Settings::default();
    follow(asked, &Setup { settings, release: RELEASE, allowed: None, start: &[] }).program
}

/// Blocks are named by numbers in place of addresses.
struct Run {
    events: Vec<Event>,
    next: u64,
    state: u64,
}

impl Run {
    fn event(&mut self, kind: EventKind, block: u64, bytes: u64) {
        let (size, stack) = (Bytes(bytes), StackId(0));
        self.events.push(Event { kind, addr: block, size, stream: 0, time_us: None, stack });
    }

    fn alloc(&mut self, bytes: u64) -> u64 {
        self.next += 512;
        self.event(EventKind::Alloc, self.next, bytes);
        self.next
    }

    fn free(&mut self, block: u64) {
        self.event(EventKind::FreeRequested, block, 0);
        self.event(EventKind::FreeCompleted, block, 0);
    }

    fn random(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.state >> 33) % below
    }
}

/// A transformer's training: weights, then steps of forward, backward and optimizer, with batches
/// of different lengths, as long as there are events left.
fn training(events: usize) -> Vec<Event> {
    const LAYERS: u64 = 32;
    const WIDTH: u64 = 2048;
    let mut run = Run { events: Vec::new(), next: 0, state: 7 };
    let weights = [3 * WIDTH * WIDTH, WIDTH * WIDTH, 4 * WIDTH * WIDTH, 4 * WIDTH * WIDTH, WIDTH];
    for _ in 0..LAYERS {
        for weight in weights {
            // The weight, and two moments of the optimizer.
            for _ in 0..3 {
                run.alloc(weight * 2);
            }
        }
    }
    while run.events.len() < events {
        let tokens = 512 + run.random(96) * 16;
        let mut saved = Vec::new();
        for _ in 0..LAYERS {
            for factor in [1, 3, 1, 1, 4, 4, 1] {
                let temporary = run.alloc(tokens * WIDTH * factor);
                let mask = run.alloc(tokens * 4);
                saved.push(run.alloc(tokens * WIDTH * factor * 2));
                run.free(temporary);
                saved.push(mask);
            }
        }
        let logits = run.alloc(tokens * 32_000 * 2);
        let scalar = run.alloc(4);
        let mut gradient = run.alloc(tokens * WIDTH * 2);
        run.free(logits);
        let mut gradients = Vec::new();
        while let Some(block) = saved.pop() {
            if saved.len().is_multiple_of(3) {
                let next = run.alloc(tokens * WIDTH * 2);
                run.free(gradient);
                gradient = next;
            }
            run.free(block);
            if saved.len().is_multiple_of(3) && gradients.len() < weights.len() * LAYERS as usize {
                gradients.push(run.alloc(weights[gradients.len() % weights.len()] * 2));
            }
        }
        run.free(gradient);
        for block in gradients {
            let step = run.alloc(4 + run.next % 4096);
            run.free(block);
            run.free(step);
        }
        run.free(scalar);
    }
    run.events
}
