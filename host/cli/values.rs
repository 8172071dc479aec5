// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values of options that are more than a word: times and addresses.

use pgtlab_core::geometry::{DIRECT_MAP_END, KERNEL_MAP, KERNEL_MAP_BYTES};
use pgtlab_core::ptdump::BASE;

pub(super) fn seconds(typed: &str) -> Result<f64, String> {
    let expected = || "expected seconds, or a time such as 90s, 5m or 1h, above 0 and at most a day".to_owned();
    let with_unit = || humantime::parse_duration(typed).ok().map(|time| time.as_secs_f64());
    let seconds = typed.parse().ok().or_else(with_unit).ok_or_else(expected)?;
    if 0.0 < seconds && seconds <= 86_400.0 { Ok(seconds) } else { Err(expected()) }
}

/// A physical address, given as itself or as one of the kernel's mappings of it: the direct map or the map of
/// the kernel's image.
pub(super) fn address(typed: &str) -> Result<u64, String> {
    const DIRECT_MAP_BYTES: u64 = DIRECT_MAP_END.get();
    let digits = typed.strip_prefix("0x").unwrap_or(typed);
    let (direct_map, kernel_map) = (BASE.get(), KERNEL_MAP.get());
    let expected = || {
        format!(
            "expected a hexadecimal physical address below 64 TiB, or one in the direct map ({direct_map:x} and 64 TiB on)"
        )
    };
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err(expected());
    }
    match u64::from_str_radix(digits, 16) {
        Ok(address) if address < DIRECT_MAP_BYTES => Ok(address),
        Ok(address) if kernel_map <= address && address - kernel_map < KERNEL_MAP_BYTES => Ok(address - kernel_map),
        Ok(address) if direct_map <= address && address - direct_map < DIRECT_MAP_BYTES => Ok(address - direct_map),
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_physical_or_in_one_of_the_kernels_mappings() {
        let parsed = ["1dfffb000", "0x1DFFFB123", "ffff8801dfffb000", "ffffffff81000000"].map(address);
        assert_eq!(parsed, [0x1_dfff_b000, 0x1_dfff_b123, 0x1_dfff_b000, 0x100_0000].map(Ok));
        for refused in ["", "0x", "g", "+1", "ffffc90000000000", "10000000000000000", "400000000000"] {
            assert!(address(refused).is_err_and(|why| why.starts_with("expected a hexadecimal")), "{refused}");
        }
    }

    #[test]
    fn a_time_is_seconds_or_has_a_unit() {
        let right = [("0.5", 0.5), ("90", 90.0), ("90s", 90.0), ("5m", 300.0), ("1h 30m", 5400.0), ("1day", 86_400.0)];
        for (typed, expected) in right {
            assert_eq!(seconds(typed), Ok(expected), "{typed}");
        }
        for wrong in ["", "0", "-1", "0s", "2days", "NaN", "inf", "5 lightyears", "m"] {
            assert!(seconds(wrong).is_err_and(|text| text.starts_with("expected seconds")), "{wrong}");
        }
    }
}
