// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making a machine as small as it can be while something still fails on it: fewest lines of a layout file.

use pgtlab_core::layout::Layout;

/// Leaves out lines as long as `fails` holds of what is left: first halves of the file, then smaller parts,
/// then single lines, until no line can go.
pub fn shrink(layout: &Layout, mut fails: impl FnMut(&Layout) -> bool) -> Layout {
    let mut smallest = layout.clone();
    let text = layout.render();
    let mut lines: Vec<&str> = text.lines().collect();
    let mut n_at_once = lines.len() / 2;
    while 0 < n_at_once {
        let before = lines.len();
        let mut at = 0;
        while at < lines.len() {
            let mut fewer = lines.clone();
            fewer.drain(at..lines.len().min(at + n_at_once));
            // Without its name it would be another machine to whoever looks for it.
            let parsed = Layout::parse(&fewer.join("\n"), &layout.name);
            match parsed.ok().filter(|fewer| fails(fewer)) {
                Some(less) => {
                    smallest = less;
                    lines = fewer;
                }
                None => at += n_at_once,
            }
        }
        if n_at_once == 1 && lines.len() < before {
            continue;
        }
        n_at_once /= 2;
    }
    smallest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_matter_are_left() {
        let text = "e820 1000 9f000 1\ne820 100000 40000000 1\nkernel 1000000 2000000\n\
                    reserve 3000000 4000000 RAMDISK\nnode 0 0 20000000\nnode 1 20000000 40000000\nmemtest 1\n";
        let layout = Layout::parse(text, "m").expect("a layout");
        let small = shrink(&layout, |layout| layout.nodes.len() == 2 && layout.switches.memtest);
        let lines = small.render().lines().filter(|line| line.starts_with("e820")).count();
        assert_eq!((small.nodes.len(), small.reservations.len(), lines), (2, 0, 1));
    }
}
