// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a plugin says of itself without being run: JSON in an ELF section of its own, put together when
//! the plugin is compiled.
//!
//! The text has a version of its own, its first key [`DESCRIPTION_FORMAT`]: a reader takes a text without it
//! as of format 1, and passes over keys that it does not know, so that a host of today can at least name
//! what it refuses. Format 2 brought `format`, `core`, `stages` and `options`; `interface`, which was the
//! version of pgtlab-core, is since then the interface's own.

use super::{INTERFACE, SEMANTICS};
use crate::strategy::{OptionSpec, Stage};

/// The version of the description's text.
pub const DESCRIPTION_FORMAT: u32 = 2;

/// The section that holds the description.
pub const DESCRIPTION_SECTION: &str = ".pgtlab.desc";

/// The symbol under which a plugin exports its header, as abi_stable looks for it.
pub const HEADER_SYMBOL: &str = "_1as_0lib_1header_0root_bmodule_bloader";

/// The compiler this crate was built with.
pub const RUSTC: &str = env!("PGTLAB_RUSTC");

/// The target this crate was built for.
pub const TARGET: &str = env!("PGTLAB_TARGET");

/// `debug` or `release`: the profile this crate was built in.
pub const PROFILE: &str = env!("PGTLAB_PROFILE");

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a plugin says of itself; made by [`crate::export_strategy`].
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The strategy's name: its crate's.
    pub name: &'static str,
    /// Its crate's version.
    pub version: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Other names it answers to.
    pub aliases: &'static [&'static str],
    /// The stages it answers otherwise than by default, if its author says so.
    pub stages: Option<&'static [Stage]>,
    /// The options it takes.
    pub options: &'static [OptionSpec],
    /// `unwind` or `abort`: what a panic in it does.
    pub panic: &'static str,
}

impl Description {
    /// The length of [`Self::json`].
    #[must_use]
    pub const fn json_len(&self) -> usize {
        let mut writer = Writer { bytes: [], at: 0 };
        self.write(&mut writer);
        writer.at
    }

    /// The description as JSON, with what this crate was built with.
    #[must_use]
    pub const fn json<const N: usize>(&self) -> [u8; N] {
        let mut writer = Writer { bytes: [0; N], at: 0 };
        self.write(&mut writer);
        writer.bytes
    }

    const fn write<const N: usize>(&self, out: &mut Writer<N>) {
        out.push(b'{');
        out.text("format");
        out.push(b':');
        out.decimal(DESCRIPTION_FORMAT);
        out.push(b',');
        out.pair("name", self.name);
        out.pair("version", self.version);
        out.pair("summary", self.summary);
        out.text("aliases");
        out.push(b':');
        out.push(b'[');
        let mut i = 0;
        while i < self.aliases.len() {
            if 0 < i {
                out.push(b',');
            }
            out.text(self.aliases[i]);
            i += 1;
        }
        out.push(b']');
        out.push(b',');
        out.text("interface");
        out.push(b':');
        out.push(b'"');
        out.decimal(INTERFACE.major);
        out.push(b'.');
        out.decimal(INTERFACE.minor);
        out.push(b'"');
        out.push(b',');
        out.pair("core", VERSION);
        out.text("semantics");
        out.push(b':');
        out.hex(SEMANTICS);
        out.push(b',');
        out.pair("rustc", RUSTC);
        out.pair("target", TARGET);
        out.pair("profile", PROFILE);
        self.write_stages(out);
        self.write_options(out);
        out.text("panic");
        out.push(b':');
        out.text(self.panic);
        out.push(b'}');
    }

    const fn write_stages<const N: usize>(&self, out: &mut Writer<N>) {
        let Some(stages) = self.stages else { return };
        out.text("stages");
        out.push(b':');
        out.push(b'[');
        let mut i = 0;
        while i < stages.len() {
            if 0 < i {
                out.push(b',');
            }
            out.text(stages[i].name());
            i += 1;
        }
        out.push(b']');
        out.push(b',');
    }

    const fn write_options<const N: usize>(&self, out: &mut Writer<N>) {
        out.text("options");
        out.push(b':');
        out.push(b'[');
        let mut i = 0;
        while i < self.options.len() {
            if 0 < i {
                out.push(b',');
            }
            let option = self.options[i];
            out.push(b'{');
            out.pair("key", option.key);
            out.pair("kind", option.kind.name());
            out.pair("default", option.default);
            out.text("help");
            out.push(b':');
            out.text(option.help);
            out.push(b'}');
            i += 1;
        }
        out.push(b']');
        out.push(b',');
    }
}

/// Bytes as they are put together; past the end they are only counted.
struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    const fn push(&mut self, byte: u8) {
        if self.at < N {
            self.bytes[self.at] = byte;
        }
        self.at += 1;
    }

    /// `"KEY":"VALUE",`
    const fn pair(&mut self, key: &str, value: &str) {
        self.text(key);
        self.push(b':');
        self.text(value);
        self.push(b',');
    }

    const fn text(&mut self, text: &str) {
        self.push(b'"');
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            match bytes[i] {
                byte @ (b'"' | b'\\') => {
                    self.push(b'\\');
                    self.push(byte);
                }
                // A description is a line; JSON has no bare control characters.
                0..=0x1f => self.push(b' '),
                byte => self.push(byte),
            }
            i += 1;
        }
        self.push(b'"');
    }

    const fn decimal(&mut self, number: u32) {
        if 9 < number {
            self.decimal(number / 10);
        }
        self.push(b"0123456789"[(number % 10) as usize]);
    }

    /// A string, since JSON's numbers end at 2^53.
    const fn hex(&mut self, number: u64) {
        self.push(b'"');
        let mut shift = u64::BITS;
        while 0 < shift {
            shift -= 4;
            self.push(b"0123456789abcdef"[((number >> shift) & 0xf) as usize]);
        }
        self.push(b'"');
    }
}

/// Makes a plugin of the crate:
///
/// ```standalone_crate
/// use pgtlab_core::strategy::{OptionSpec, Strategy};
///
/// #[derive(Default)]
/// struct MyFix;
/// impl Strategy for MyFix {}
///
/// pgtlab_core::export_strategy!(
///     MyFix,
///     summary = "what it does, in a line",
///     aliases = ["mine"],
///     stages = [TableSpace, RangeDone],
///     options = [OptionSpec::number("spare_pages", "0", "pages to set aside beyond those needed")],
/// );
/// ```
///
/// All after the summary is optional, in this order. `stages` are those variants of
/// [`Stage`] that the strategy answers otherwise than by default; `pgtlab inspect` shows
/// them, and `pgtlab conform` holds the strategy to them. `options` are
/// [`OptionSpec`]s; their values come to [`Strategy::configure`](crate::strategy::Strategy::configure).
///
/// The type is a [`Strategy`](crate::strategy::Strategy) and has a `Default`, which is called once a boot.
/// The crate has `crate-type = ["cdylib"]` and exports one strategy.
///
/// This is what abi_stable's `#[export_root_module]` expands to, without its hard-coded path, so that a
/// strategy needs this crate alone.
#[macro_export]
macro_rules! export_strategy {
    (
        $strategy:ty, summary = $summary:expr
        $(, aliases = [$($alias:expr),* $(,)?])?
        $(, stages = [$($stage:ident),* $(,)?])?
        $(, options = [$($option:expr),* $(,)?])?
        $(,)?
    ) => {
        const _: () = {
            const DESCRIPTION: $crate::plugin::Description = $crate::plugin::Description {
                name: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                summary: $summary,
                aliases: &[$($($alias),*)?],
                stages: $crate::__stages!($([$($stage),*])?),
                options: &[$($($option),*)?],
                panic: if cfg!(panic = "unwind") { "unwind" } else { "abort" },
            };

            #[used]
            #[unsafe(link_section = ".pgtlab.desc")]
            static SECTION: [u8; DESCRIPTION.json_len()] = DESCRIPTION.json();

            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            static HEADER: $crate::plugin::abi_stable::library::LibHeader =
                $crate::plugin::header::<$strategy>();
        };
    };
}

/// Whether the author says which stages are answered, and which.
#[doc(hidden)]
#[macro_export]
macro_rules! __stages {
    () => {
        None
    };
    ([$($stage:ident),*]) => {
        Some(&[$($crate::strategy::Stage::$stage),*])
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTES: Description = Description {
        name: "q",
        version: "1.2.3",
        summary: "says \"no\"\\\n",
        aliases: &["a", "b"],
        stages: Some(&[Stage::Plan, Stage::TableSpace]),
        options: &[OptionSpec::number("n_pages", "16", "at the least")],
        panic: "unwind",
    };

    #[test]
    fn a_description_is_one_line_of_json() {
        const JSON: [u8; QUOTES.json_len()] = QUOTES.json();
        let text = String::from_utf8_lossy(&JSON);
        let start = r#"{"format":2,"name":"q","version":"1.2.3","summary":"says \"no\"\\ ","aliases":["a","b"],"#;
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains(&format!(r#","interface":"{INTERFACE}","core":"{VERSION}","#)), "{text}");
        let end = r#","stages":["plan","table space"],"options":[{"key":"n_pages","kind":"number","default":"16","help":"at the least"}],"panic":"unwind"}"#;
        assert!(text.ends_with(end), "{text}");
        assert!(text.contains(&format!("\"semantics\":\"{:016x}\",\"rustc\":\"rustc ", SEMANTICS)), "{text}");
    }

    #[test]
    fn the_header_has_the_name_abi_stable_looks_for() {
        assert_eq!(HEADER_SYMBOL, abi_stable::library::ROOT_MODULE_LOADER_NAME);
    }
}
