//! The call tree in text: outermost call first, chains of single calls on one line, small
//! branches summed up. C++ frames are left out, and the frames with which a module calls its
//! `forward`: they are many and say little here.

use std::collections::HashMap;

use oomscope_model::Bytes;

use super::{FrameV1, StacksV1};
use crate::layout::Tone;
use crate::snapshot::section::grouped;
use crate::snapshot::text::percent;

/// How the tree is cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct TreeOptions {
    /// Levels of branches, chains counted once; 0 for as many as fit a terminal.
    pub depth: usize,
    /// Branches with a smaller share of all are summed up.
    pub min_share: f64,
}

/// `torch.nn.Module`'s functions between a call of a module and its `forward`.
const CALLS_FORWARD: [&str; 2] = ["_wrapped_call_impl", "_call_impl"];
/// More levels leave no room for names.
const DEEPEST: usize = 24;
/// Columns of the bar.
const BAR: usize = 6;
/// Columns of a line.
const COLUMNS: usize = 80;
/// Columns that a name gets in any case.
const NARROWEST: usize = 30;

struct Node {
    frame: u32,
    weight: u64,
    /// Of it, what this call asked for itself.
    own: u64,
    children: Vec<usize>,
}

/// What is yet to be written, last first.
enum Pending {
    Node { at: usize, lead: String, is_last: bool, depth: usize },
    More { branches: usize, weight: u64, lead: String },
}

/// The lines of the tree.
pub(super) fn lines(view: &StacksV1) -> Vec<Vec<(Tone, String)>> {
    let nodes = nodes(view);
    let smallest = (view.tree.min_share.clamp(0.0, 1.0) * view.total as f64).ceil() as u64;
    let deepest = if view.tree.depth == 0 { DEEPEST } else { view.tree.depth.min(DEEPEST) };
    let mut lines = Vec::new();
    let mut pending = Vec::new();
    let roots = nodes.first().map_or(&[][..], |root| root.children.as_slice());
    let cut = Cut { smallest, is_root: true };
    push_children(&mut pending, &nodes, roots, "", 0, cut);
    while let Some(next) = pending.pop() {
        match next {
            Pending::More { branches, weight, lead } => {
                let what = if branches == 1 { "call" } else { "calls" };
                let text = format!("… {} more {what}", grouped(branches as u64));
                lines.push(line(view, weight, &lead, &[(Tone::Faint, text)]));
            }
            Pending::Node { at, lead, is_last, depth } => {
                let Some(first) = nodes.get(at) else { continue };
                let (chain, end) = chain(&nodes, at);
                let Some(last) = nodes.get(end) else { continue };
                let branch = match (depth, is_last) {
                    (0, _) => "",
                    (_, true) => "└─ ",
                    (_, false) => "├─ ",
                };
                let whole_lead = format!("{lead}{branch}");
                lines.push(line(view, first.weight, &whole_lead, &name(view, &chain)));
                let below = match (depth, is_last) {
                    (0, _) => String::new(),
                    (_, true) => format!("{lead}   "),
                    (_, false) => format!("{lead}│  "),
                };
                if depth + 1 < deepest {
                    let cut = Cut { smallest, is_root: false };
                    push_children(&mut pending, &nodes, &last.children, &below, depth + 1, cut);
                } else if !last.children.is_empty() {
                    let weight = last.children.iter().filter_map(|&at| nodes.get(at));
                    let weight = weight.map(|node| node.weight).fold(0, u64::saturating_add);
                    let lead = format!("{below}└─ ");
                    pending.push(Pending::More { branches: last.children.len(), weight, lead });
                }
            }
        }
    }
    lines
}

/// What the tree leaves out, if anything.
pub(super) fn note(view: &StacksV1) -> Option<String> {
    if view.stacks.is_empty() {
        return Some("no block is selected".to_owned());
    }
    view.frames.iter().any(|frame| frame.origin == "native").then(|| {
        "C++ frames are left out here; `--format flamegraph` and the others have them".to_owned()
    })
}

/// Where small branches are summed up.
#[derive(Clone, Copy)]
struct Cut {
    smallest: u64,
    is_root: bool,
}

fn push_children(
    pending: &mut Vec<Pending>,
    nodes: &[Node],
    children: &[usize],
    lead: &str,
    depth: usize,
    cut: Cut,
) {
    let weight = |at: usize| nodes.get(at).map_or(0, |node| node.weight);
    let (shown, small): (Vec<usize>, Vec<usize>) =
        children.iter().copied().partition(|&at| weight(at) >= cut.smallest);
    if !small.is_empty() {
        let branch = if cut.is_root { "" } else { "└─ " };
        pending.push(Pending::More {
            branches: small.len(),
            weight: small.iter().map(|&at| weight(at)).fold(0, u64::saturating_add),
            lead: format!("{lead}{branch}"),
        });
    }
    let last = shown.len().wrapping_sub(1);
    for (position, &at) in shown.iter().enumerate().rev() {
        let is_last = position == last && small.is_empty();
        pending.push(Pending::Node { at, lead: lead.to_owned(), is_last, depth });
    }
}

/// The call tree; the first node is its root, which stands for all.
fn nodes(view: &StacksV1) -> Vec<Node> {
    let node = |frame| Node { frame, weight: 0, own: 0, children: Vec::new() };
    let mut nodes = vec![node(u32::MAX)];
    let mut known: HashMap<(usize, u32), usize> = HashMap::new();
    for stack in &view.stacks {
        let mut at = 0;
        for frame in telling(view, &stack.frames) {
            let next = nodes.len();
            let child = *known.entry((at, frame)).or_insert(next);
            if child == next {
                nodes.push(node(frame));
                if let Some(parent) = nodes.get_mut(at) {
                    parent.children.push(child);
                }
            }
            if let Some(child) = nodes.get_mut(child) {
                child.weight = child.weight.saturating_add(stack.weight);
            }
            at = child;
        }
        if let Some(innermost) = nodes.get_mut(at) {
            innermost.own = innermost.own.saturating_add(stack.weight);
        }
    }
    let weights: Vec<u64> = nodes.iter().map(|node| node.weight).collect();
    for node in &mut nodes {
        node.children.sort_by_key(|&at| (std::cmp::Reverse(weights.get(at).copied()), at));
    }
    nodes
}

/// The frames of a stack that tell people something. A stack of C++ alone, the backward
/// thread's, has the engine and the autograd node that it ran, else its outermost one.
fn telling(view: &StacksV1, stack: &[u32]) -> Vec<u32> {
    let frame = |id: u32| view.frames.get(id as usize);
    let of = |wanted: &dyn Fn(&FrameV1) -> bool| -> Vec<u32> {
        stack.iter().copied().filter(|&id| frame(id).is_some_and(wanted)).collect()
    };
    let shown = of(&|frame| frame.origin != "native" && !CALLS_FORWARD.contains(&&*frame.function));
    if !shown.is_empty() {
        return shown;
    }
    let engine = of(&|frame| frame.function.contains("Engine::thread_main"));
    let nodes = of(&|frame| frame.function.contains("autograd::generated::"));
    let telling: Vec<u32> = engine.first().into_iter().chain(nodes.last()).copied().collect();
    if telling.is_empty() { stack.iter().take(1).copied().collect() } else { telling }
}

/// The frames from a node down to the first that branches or asks for something itself, and it.
fn chain(nodes: &[Node], from: usize) -> (Vec<u32>, usize) {
    let mut at = from;
    let mut frames = Vec::new();
    while let Some(node) = nodes.get(at) {
        frames.push(node.frame);
        match node.children.as_slice() {
            [only] if node.own == 0 => at = *only,
            _ => break,
        }
    }
    (frames, at)
}

/// The innermost line of the user's in a chain, what it calls, and the lines that led to it.
fn name(view: &StacksV1, chain: &[u32]) -> Vec<(Tone, String)> {
    let frames: Vec<&FrameV1> =
        chain.iter().filter_map(|&id| view.frames.get(id as usize)).collect();
    let of_user = frames.iter().rposition(|frame| frame.origin == "user");
    let Some(key) = of_user.or_else(|| frames.len().checked_sub(1)) else { return Vec::new() };
    let Some(named) = frames.get(key) else { return Vec::new() };
    let tone = if of_user.is_some() { Tone::Code } else { Tone::Plain };
    let text = match named.origin {
        // The types of a C++ function's arguments fill lines.
        "native" => named.function.split('(').next().unwrap_or(&named.text).to_owned(),
        _ => named.text.clone(),
    };
    let mut spans = vec![(tone, text)];
    if let Some(last) = frames.last().filter(|_| key + 1 < frames.len()) {
        spans.push((Tone::Plain, format!(" → {}", last.function)));
    }
    let callers = frames.iter().take(key).rev().filter(|frame| frame.origin == "user");
    for caller in callers.take(3) {
        spans.push((Tone::Faint, format!(" ← {}", caller.text)));
    }
    spans
}

fn line(view: &StacksV1, weight: u64, lead: &str, name: &[(Tone, String)]) -> Vec<(Tone, String)> {
    let share = Bytes(weight).share_of(Bytes(view.total));
    let amount = match view.weighs {
        "blocks" => grouped(weight),
        _ => Bytes(weight).to_string(),
    };
    let filled = ((share.clamp(0.0, 1.0) * BAR as f64).round() as usize).min(BAR);
    let figures = format!("{amount:>11} {:>7} ", percent(share));
    let bar = format!("{}{} ", "█".repeat(filled), " ".repeat(BAR - filled));
    let taken = figures.chars().count() + bar.chars().count() + lead.chars().count();
    let mut room = COLUMNS.saturating_sub(taken).max(NARROWEST);
    let mut line = vec![(Tone::Plain, figures), (Tone::Bar, bar), (Tone::Faint, lead.to_owned())];
    for (tone, text) in name {
        let wide = text.chars().count();
        if wide <= room {
            line.push((*tone, text.clone()));
            room -= wide;
            continue;
        }
        if room > 8 {
            let cut: String = text.chars().take(room - 1).collect();
            line.push((*tone, format!("{cut}…")));
        }
        break;
    }
    line
}
