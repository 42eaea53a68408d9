//! `stream-held`: blocks freed in Python wait for another stream.

use oomscope_model::{Bytes, Cause};

use super::case::{Case, percent};
use super::{CauseRule, Remedy};
use crate::context::{Context, Failed};

pub(super) const RULE: CauseRule =
    CauseRule { cause: Cause::StreamHeld, page: include_str!("stream_held.md"), assess, remedy };

fn assess(context: &Context<'_>, case: &mut Case) {
    let Some(snapshot) = context.snapshot.filter(|snapshot| snapshot.failed()) else { return };
    let waiting = snapshot.state.pending_free;
    if waiting == Bytes::ZERO {
        return;
    }
    let share = waiting.share_of(snapshot.state.reserved);
    let points = match share {
        0.3.. => 76,
        0.15.. => 56,
        0.05.. => 25,
        _ => 4,
    };
    case.speaks_at(
        points,
        format!(
            "{waiting} ({} of what is reserved) were freed in Python and wait for another stream",
            percent(share)
        ),
        Some(waiting),
        None,
    );
    case.explains(Some(waiting));
    if context.requested().is_some_and(|requested| requested <= waiting) {
        case.speaks(12, "more than the request that failed");
    }
    if let Some(place) = context.source_mentions("record_stream") {
        case.speaks_at(12, "the source calls `record_stream`", None, Some(&place));
    }
    if let Some(place) = context.source_mentions("cuda.stream(") {
        case.speaks_at(3, "the source works on a side stream", None, Some(&place));
    }
    case.places(&context.asked);
}

fn remedy(_: &Context<'_>) -> Remedy {
    Remedy {
        fix: "Let the allocator reuse blocks sooner: drop `record_stream` and order the streams with `wait_stream`/events while a reference is alive, bound how far the side stream runs behind (synchronise every few steps), or reuse one pre-allocated buffer.".to_owned(),
        verification: "In a snapshot no block stays `active_awaiting_free` for long, and active bytes equal allocated bytes.".to_owned(),
        prevention: "Allocate on the stream that uses the tensor; keep side-stream transfers to a fixed ring of buffers.".to_owned(),
    }
}
