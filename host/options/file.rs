// SPDX-License-Identifier: MIT OR Apache-2.0
//! Options of strategies in a TOML file, each with the place where it stands.
//!
//! ```toml
//! [semantic-builder]
//! node_local = true
//!
//! ["v2.6.38"]
//! extra_pages = 16
//! ```

use super::{Fault, OptionError, Place, Setting, Written, refused};
use crate::input::Shown;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use toml_edit::{Document, Item, Value};

/// A file above this size (in bytes) is not read.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<Setting>, OptionError> {
    let unreadable = |source| OptionError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let n_bytes = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    if MAX_BYTES < n_bytes.map_err(unreadable)? as u64 {
        let why = format!("it has more than {MAX_BYTES} bytes, the most for a file of options");
        return Err(unreadable(std::io::Error::other(why)));
    }
    settings(&path.display().to_string(), &text)
}

fn settings(path: &str, text: &str) -> Result<Vec<Setting>, OptionError> {
    let place = |span: Option<Range<usize>>| {
        let span = span.unwrap_or_default();
        let before = text.get(..span.start).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let shown = Shown::new(path, text, span.start, span.end).map(Box::new);
        Place::File { path: path.to_owned(), line, shown }
    };
    let document = Document::parse(text).map_err(|error| {
        let message: Vec<&str> = error.message().lines().map(str::trim).collect();
        refused(&place(error.span()), Fault::Syntax(message.join("; ")))
    })?;
    let mut settings = Vec::new();
    for (name, item) in document.iter() {
        let Some(table) = item.as_table_like() else {
            let fault = Fault::NoTable { name: name.to_owned(), found: kind(item) };
            return Err(refused(&place(item.span()), fault));
        };
        for (key, item) in table.iter() {
            let span = table.key(key).and_then(toml_edit::Key::span).zip(item.span());
            let span = span.map(|(key, value)| key.start.min(value.start)..value.end.max(key.end));
            settings.push(Setting {
                place: place(span.or_else(|| item.span())),
                strategy: name.to_owned(),
                key: key.to_owned(),
                value: written(item),
            });
        }
    }
    Ok(settings)
}

fn written(item: &Item) -> Written {
    match item.as_value() {
        Some(Value::Integer(number)) => Written::Number(number.value().to_string()),
        Some(Value::Boolean(flag)) => Written::Flag(*flag.value()),
        Some(Value::String(text)) => Written::Text(text.value().clone()),
        _ => Written::Other(kind(item)),
    }
}

fn kind(item: &Item) -> &'static str {
    match item {
        Item::None => "nothing",
        Item::Table(_) | Item::Value(Value::InlineTable(_)) => "a table (a name with dots is put in quotes)",
        Item::ArrayOfTables(_) | Item::Value(Value::Array(_)) => "a list",
        Item::Value(Value::Integer(_)) => "an integer",
        Item::Value(Value::Boolean(_)) => "true or false",
        Item::Value(Value::String(_)) => "a text",
        Item::Value(Value::Float(_)) => "a number with a fraction",
        Item::Value(Value::Datetime(_)) => "a date",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[(&str, &str, &str, &str)], &str>) {
        let found = settings("o.toml", text).map_err(|error| error.to_string());
        let found = found.map(|found| {
            let told = |setting: Setting| {
                let Setting { place, strategy, key, value } = setting;
                (place.to_string(), strategy, key, value.to_string())
            };
            found.into_iter().map(told).collect::<Vec<_>>()
        });
        let expected = expected.map(|rows| {
            let owned = |row: &(&str, &str, &str, &str)| {
                (format!("o.toml: line {}", row.0), row.1.to_owned(), row.2.to_owned(), row.3.to_owned())
            };
            rows.iter().map(owned).collect::<Vec<_>>()
        });
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn a_table_is_a_strategy_and_a_key_an_option() {
        check("", Ok(&[]));
        check(
            "# mine\n[hook]\nn = 0x10\nis_low = true\n\n['v2.6.38']\nname = \"x\"\n",
            Ok(&[("3", "hook", "n", "16"), ("4", "hook", "is_low", "true"), ("7", "v2.6.38", "name", "\"x\"")]),
        );
        check("hook.n = 1\nunfixed = { n = [1] }\n", Ok(&[("1", "hook", "n", "1"), ("2", "unfixed", "n", "a list")]));
        check("[v2.6]\nn = 1\n", Ok(&[("1", "v2", "6", "a table (a name with dots is put in quotes)")]));
    }

    #[test]
    fn a_file_that_is_none_is_told_with_its_line() {
        check("n = 1\n", Err("o.toml: line 1: n is an integer; expected a table of options, [n]"));
        let found = settings("o.toml", "[hook]\nn = \n").map_err(|error| error.to_string());
        assert!(found.as_ref().is_err_and(|text| text.starts_with("o.toml: line 2: ")), "{found:?}");
    }
}
