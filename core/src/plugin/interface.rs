// SPDX-License-Identifier: MIT OR Apache-2.0
//! The border itself: what a plugin offers the host, and the host a plugin.
//!
//! Both traits and the root module grow at their end only: what stands behind `last_prefix_field` is
//! optional for older plugins, and has a default for them.
#![expect(non_local_definitions, reason = "`sabi_trait` of abi_stable 0.11.3 expands to impls inside a const")]
#![expect(unsafe_code, unused_qualifications, reason = "what abi_stable's macros expand to")]
#![expect(unreachable_pub, reason = "abi_stable's macros copy the visibility, and generate items that need `pub`")]

use super::numbers::BASE;
use super::raw::{
    RawAccess, RawAccessQuestion, RawBoot, RawE820Entry, RawFacts, RawFault, RawLeafQuestion, RawNode, RawPage,
    RawPageQuestion, RawPlan, RawRange, RawRangeDone, RawTableSpace, RawWriteQuestion, Span,
};
use abi_stable::StableAbi;
use abi_stable::declare_root_module_statics;
use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_trait;
use abi_stable::sabi_types::{RMut, VersionStrings};
use abi_stable::std_types::{RBox, ROption, RResult, RSlice, RStr, RString, RVec};
use abi_stable::type_layout::tagging::Tag;
use std::fmt;

/// The host's side of [`crate::strategy::Services`]; each method has a namesake there.
#[sabi_trait]
pub trait RawServices {
    fn facts(&self) -> RawFacts;
    fn backend(&self) -> u32;
    fn memory(&self) -> RSlice<'_, Span>;
    fn reserved(&self) -> RSlice<'_, Span>;
    fn e820(&self) -> RVec<RawE820Entry>;
    fn nodes(&self) -> RVec<RawNode>;
    fn mapped(&self) -> RVec<Span>;
    fn find_in_range(&self, window: Span, bytes: u64, align: u64) -> ROption<u64>;
    fn next_free(&self, start: u64, align: u64) -> ROption<Span>;
    fn tables_needed(&self, range: RawRange) -> u64;
    fn decline(&self, stage: u32);
    fn printk(&mut self, text: RStr<'_>);
    fn reserve(&mut self, range: Span, name: RStr<'_>);
    fn free(&mut self, range: Span);
    fn set_rw(&mut self, pages: Span);
    fn set_ro(&mut self, pages: Span);
    #[sabi(last_prefix_field)]
    fn set_max_pfn_mapped(&mut self, pfn: u64);
}

/// The host's services, lent for one question.
pub type ServicesMut<'a> = RawServices_TO<'a, RMut<'a, ()>>;

/// One boot's strategy in a plugin: a method a stage, see [`crate::strategy::Strategy`].
#[sabi_trait]
pub trait RawStrategy {
    fn boot(&mut self, services: ServicesMut<'_>) -> RResult<RawBoot, RawFault>;
    fn plan(&mut self, services: ServicesMut<'_>) -> RResult<RawPlan, RawFault>;
    fn table_space(&mut self, services: ServicesMut<'_>, range: RawRange) -> RResult<RawTableSpace, RawFault>;
    fn page(&mut self, services: ServicesMut<'_>, question: RawPageQuestion) -> RResult<RawPage, RawFault>;
    fn access(&mut self, services: ServicesMut<'_>, question: RawAccessQuestion) -> RResult<RawAccess, RawFault>;
    fn leaf(&mut self, services: ServicesMut<'_>, question: RawLeafQuestion) -> RResult<ROption<Span>, RawFault>;
    fn write(&mut self, services: ServicesMut<'_>, question: RawWriteQuestion) -> RResult<(), RawFault>;
    fn range_done(&mut self, services: ServicesMut<'_>, done: RawRangeDone) -> RResult<(), RawFault>;
    fn build_done(&mut self, services: ServicesMut<'_>) -> RResult<(), RawFault>;
    fn allocator_up(&mut self, services: ServicesMut<'_>) -> RResult<(), RawFault>;
    /// Drops the author's value, so that a panic there is an answer too. Asked once, last.
    #[sabi(last_prefix_field)]
    fn finish(&mut self) -> RResult<(), RawFault>;
    /// The values of its options, keys and values one after the other; asked once, first, and not of a plugin
    /// that declares none. Since 1.1.
    fn configure(&mut self, options: RVec<RString>) -> RResult<(), RawFault> {
        let _ = options;
        RResult::RErr(RawFault::of_older_plugin())
    }
}

/// A strategy behind the border, owned by the host.
pub type StrategyBox = RawStrategy_TO<'static, RBox<()>>;

/// What a plugin exports.
#[repr(C)]
#[derive(StableAbi, Debug)]
#[sabi(kind(Prefix(prefix_ref = StrategyModuleRef, prefix_fields = StrategyModulePrefix)))]
#[sabi(missing_field(option))]
#[sabi(tag = Tag::uint(BASE))]
pub struct StrategyModule {
    /// Makes the strategy of one boot.
    #[sabi(last_prefix_field)]
    pub create: extern "C" fn() -> RResult<StrategyBox, RawFault>,
}

impl fmt::Debug for StrategyModuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrategyModuleRef").finish_non_exhaustive()
    }
}

impl RootModule for StrategyModuleRef {
    declare_root_module_statics! {StrategyModuleRef}
    const BASE_NAME: &'static str = "pgtlab_strategy";
    const NAME: &'static str = "pgtlab_strategy";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
