//! Calls by the name that is called, so that a rule about `empty_cache` looks at those calls alone.

use rustc_hash::FxHashMap;

use crate::facts::{Call, Facts};
use crate::index::{Function, FunctionId};
use crate::project::Project;
use crate::search::called_name;

/// Names that rules ask for; a rule that asks for another one finds nothing.
const WATCHED: &[&str] = &[
    "_record_memory_history",
    "collect",
    "cuda",
    "deepcopy",
    "empty_cache",
    "load",
    "load_state_dict",
    "profile",
    "register_backward_hook",
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_module_forward_hook",
    "set_detect_anomaly",
    "setdefault",
    "start",
    "to",
];

/// Places of watched calls: the function and the number of the call in its facts.
pub(crate) type WatchedCalls = FxHashMap<&'static str, Vec<(FunctionId, usize)>>;

/// Collects the watched calls of all functions.
pub(crate) fn watched_calls(facts: &[Facts<'_>]) -> WatchedCalls {
    let mut watched: WatchedCalls = WATCHED.iter().map(|name| (*name, Vec::new())).collect();
    for (id, facts) in (0u32..).map(FunctionId).zip(facts) {
        for (number, call) in facts.calls.iter().enumerate() {
            if let Some(places) = watched.get_mut(called_name(call.call)) {
                places.push((id, number));
            }
        }
    }
    watched
}

/// A watched call with the function that makes it.
#[derive(Clone, Copy)]
pub(crate) struct WatchedCall<'p, 'a> {
    pub(crate) id: FunctionId,
    pub(crate) function: &'p Function<'a>,
    pub(crate) facts: &'p Facts<'a>,
    pub(crate) call: &'p Call<'a>,
}

impl<'a> Project<'a> {
    /// Every call of a watched name outside unit tests, in the order of the files.
    pub(crate) fn calls_named<'p>(
        &'p self,
        name: &str,
    ) -> impl Iterator<Item = WatchedCall<'p, 'a>> + use<'p, 'a> {
        let places = self.watched_calls.get(name).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|(id, number)| {
            let function = self.index.function(*id)?;
            let facts = self.facts.get(id.0 as usize)?;
            let call = facts.calls.get(*number)?;
            (!self.is_unit_test(function))
                .then_some(WatchedCall { id: *id, function, facts, call })
        })
    }
}
