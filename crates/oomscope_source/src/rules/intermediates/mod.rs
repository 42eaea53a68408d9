//! Rules on intermediates that are larger than they need to be.

use crate::rules::Rule;

mod attention_by_hand;
mod diagonal_matrix_product;
mod full_logits_upcast;
mod log_softmax_gathered;
mod one_hot_vocabulary;
mod pairwise_broadcast;
mod quadratic_repeat;
mod repeat_for_broadcast;
mod square_mask_per_call;

pub(super) static RULES: &[Rule] = &[
    full_logits_upcast::RULE,
    log_softmax_gathered::RULE,
    one_hot_vocabulary::RULE,
    pairwise_broadcast::RULE,
    quadratic_repeat::RULE,
    repeat_for_broadcast::RULE,
    attention_by_hand::RULE,
    square_mask_per_call::RULE,
    diagonal_matrix_product::RULE,
];
