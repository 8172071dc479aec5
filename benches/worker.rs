// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a cell costs besides its boot: a worker that is started, bound, given a plugin and heard, on a machine so
//! small that its boot is next to nothing.

use criterion::{Criterion, criterion_group, criterion_main};
use pgtlab::discover;
use pgtlab::protocol::{Request, Want};
use pgtlab::spawn::{Limits, run_cell};

const LAYOUT: &str = "name small\ne820 0 9f000 1\ne820 100000 2000000 1\nkernel 1000000 1800000\n";

fn worker(criterion: &mut Criterion) {
    let hook = discover::resolve(&["reserve-hook".to_owned()]).expect("the strategies were built");
    let request = Request {
        plugin: hook[0].plugin.clone(),
        strategy: "reserve-hook".to_owned(),
        options: Vec::new(),
        layout: LAYOUT.to_owned(),
        want: Want::Record,
    };
    criterion.bench_function("worker", |bencher| {
        bencher.iter(|| run_cell(&request, &Limits::default()).expect("the plugin loads"));
    });
}

criterion_group!(benches, worker);
criterion_main!(benches);
