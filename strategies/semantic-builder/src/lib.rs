//! x
use pgtlab_core::strategy::Strategy;
/// x
#[derive(Debug, Default)]
pub struct SemanticBuilder;
impl Strategy for SemanticBuilder {}
