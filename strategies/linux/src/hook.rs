// SPDX-License-Identifier: MIT OR Apache-2.0
//! `x86_init.mapping.pagetable_reserve` (279b706bf800): what becomes of the table buffer at the end of a
//! range, from 2.6.39 until 3.9 had no buffer any more.

use crate::{space, text};
use pgtlab_core::layout::Backend;
use pgtlab_core::strategy::{Context, RangeDone};

/// The used part is reserved; under Xen the spare part becomes writable, whoever had made it read-only. The
/// line is printed even where there is no spare part.
pub fn pagetable_reserve(cx: &mut Context<'_>, done: &RangeDone) {
    space::reserve_used(cx, done);
    // A range that handed out nothing does not call the hook.
    if cx.backend() == Backend::Xen && !done.buf.used().is_empty() {
        text::setting_rw(cx, &done.buf);
        cx.set_rw(done.buf.spare());
    }
}
