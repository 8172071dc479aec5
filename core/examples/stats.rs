use pgtlab_core::{build::*, decide::Decider, layout::*, rules::Rule};
fn main() {
    let mut ls: Vec<_> = std::fs::read_dir("core/tests/golden").unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "layout")).collect();
    ls.sort();
    let mk: Vec<(&str, Box<dyn Fn() -> Box<dyn Decider>>)> = vec![
        ("unfixed", Box::new(|| Box::new(unfixed::Unfixed))),
        ("fixup", Box::new(|| Box::new(xen_mmu_rw_fixup::XenMmuRwFixup::default()))),
        ("revert", Box::new(|| Box::new(revert_high_placement::RevertHighPlacement))),
        ("hook", Box::new(|| Box::new(reserve_hook::ReserveHook))),
        ("semantic", Box::new(|| Box::new(semantic_builder::SemanticBuilder::default()))),
    ];
    let mut room = vec![vec![0u64; ls.len()]; 5];
    for (si, (n, f)) in mk.iter().enumerate() {
        let mut die = 0; let mut broke = std::collections::BTreeMap::new();
        let mut pages = 0; let mut prog = vec![]; let mut reach=0;
        for (i, p) in ls.iter().enumerate() {
            let l = Layout::parse(&std::fs::read_to_string(p).unwrap(), "x").unwrap();
            let b = boot(&l, f().as_mut(), Watch::RULES).unwrap();
            if b.end != End::Completed { die += 1 }
            for r in Rule::ALL { if b.findings.iter().any(|f| f.rule == r) { *broke.entry(format!("{r:?}-{}", l.backend.name())).or_insert(0) += 1; if r == Rule::Progress { prog.push(l.name.clone()) } } }
            if let Some(m) = b.measures { pages += m.table_pages; room[si][i] = m.crashkernel_room_bytes >> 20; }
            if l.name.starts_with("05-") || l.name.starts_with("02-") { println!("{n} {}: {:?}", l.name, b.measures); for f in &b.findings { println!("   {f}") } }
            let _ = &mut reach;
        }
        println!("{n}: dies {die} tables {pages} {broke:?} progress {prog:?}");
    }
    for (i, p) in ls.iter().enumerate() { if room[4][i] < room[3][i] { println!("room {} hook {} semantic {} revert {}", p.display(), room[3][i], room[4][i], room[2][i]) } }
}
