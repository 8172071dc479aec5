// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON lines: a record a line, as [`CellRecord`] has its keys.

use crate::record::CellRecord;

/// Renders the records.
///
/// # Errors
/// None that the record's types can cause.
pub fn render(records: &[CellRecord]) -> Result<String, serde_json::Error> {
    let mut out = String::new();
    for record in records {
        out.push_str(&serde_json::to_string(record)?);
        out.push('\n');
    }
    Ok(out)
}
