//! Chrome's trace events (JSON), which Perfetto and `chrome://tracing` load: a process a device,
//! its counters over time, the lives of its largest blocks as slices, failed requests as instants.

use std::io::{self, Write};

use oomscope_snapshot::views::Spans;
use serde_json::{Value, json};

use super::Subject;

pub(super) fn write(subjects: &[Subject<'_>], out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"{\"displayTimeUnit\":\"ms\",\"otherData\":")?;
    let notes: Vec<Value> = subjects.iter().map(note).collect();
    serde_json::to_writer(&mut *out, &json!({ "tool": "oomscope", "shows": notes }))?;
    out.write_all(b",\"traceEvents\":[\n")?;
    let mut events = Events { out, is_first: true };
    for (subject, process) in subjects.iter().zip(1_u32..) {
        events.write(&json!({
            "ph": "M", "name": "process_name", "pid": process, "tid": 0,
            "args": { "name": subject.name() }
        }))?;
        if let Some(spans) = &subject.view.spans {
            write_spans(&mut events, subject, spans, process)?;
        }
    }
    events.out.write_all(b"\n]}\n")
}

/// What the trace shows, in words.
fn note(subject: &Subject<'_>) -> Value {
    let spans = subject.view.spans.as_ref();
    let shown = spans.map_or(0, |spans| spans.blocks.len());
    let left_out = spans.map_or(0, |spans| spans.blocks_left_out);
    let has_times = spans.is_some_and(|spans| spans.has_times);
    json!({
        "what": subject.name(),
        "time": if has_times {
            "microseconds since the epoch, as recorded"
        } else {
            "no times were recorded: one microsecond is one event"
        },
        "counters": "bytes; of each stretch of the trace the highest value and the last",
        "slices": format!(
            "the {shown} largest of the selected blocks, from being handed out to being given up; \
             {left_out} smaller ones are left out"
        ),
    })
}

fn write_spans(
    events: &mut Events<'_>,
    subject: &Subject<'_>,
    spans: &Spans,
    process: u32,
) -> io::Result<()> {
    for sample in &spans.counters {
        let counters = [
            ("allocated", sample.allocated),
            ("active", sample.active),
            ("reserved", sample.reserved),
        ];
        for (name, bytes) in counters {
            events.write(&json!({
                "ph": "C", "name": name, "pid": process, "ts": sample.time,
                "args": { "bytes": bytes }
            }))?;
        }
    }
    for (number, (block, name)) in spans.blocks.iter().zip(&subject.view.span_names).enumerate() {
        let id = format!("{process}.{number}");
        events.write(&json!({
            "ph": "b", "cat": "block", "id": id, "name": name.name, "pid": process, "tid": 0,
            "ts": block.from,
            "args": {
                "bytes": block.size.0,
                "requested": block.requested.0,
                "address": format!("{:#x}", block.addr),
                "stack": name.stack,
            }
        }))?;
        events.write(&json!({
            "ph": "e", "cat": "block", "id": id, "name": name.name, "pid": process, "tid": 0,
            "ts": block.until
        }))?;
    }
    for (time, requested) in &spans.failures {
        events.write(&json!({
            "ph": "i", "s": "p", "name": "out of memory", "pid": process, "tid": 0, "ts": time,
            "args": { "requested": requested.0 }
        }))?;
    }
    Ok(())
}

/// A list in JSON, written as it comes.
struct Events<'o> {
    out: &'o mut dyn Write,
    is_first: bool,
}

impl Events<'_> {
    fn write(&mut self, event: &Value) -> io::Result<()> {
        if !std::mem::take(&mut self.is_first) {
            self.out.write_all(b",\n")?;
        }
        serde_json::to_writer(&mut *self.out, event)?;
        Ok(())
    }
}
