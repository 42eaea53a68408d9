//! Independent work on all cores, results in order.

use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

/// Applies `work` to every item, as many at a time as there are cores.
pub(crate) fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    if workers <= 1 {
        return items.into_iter().map(work).collect();
    }
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let jobs = Mutex::new(items.into_iter().zip(results.iter_mut()));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    // A worker that panics poisons the queue; the others then stop too.
                    let Some((item, result)) = jobs.lock().ok().and_then(|mut jobs| jobs.next())
                    else {
                        break;
                    };
                    *result = Some(work(item));
                }
            });
        }
    });
    drop(jobs);
    results.into_iter().flatten().collect()
}
