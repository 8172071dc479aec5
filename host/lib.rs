// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program's parts, as a library so that tests and benches reach them; `main.rs` is the command line.

pub mod answer;
pub mod baseline;
pub mod cli;
pub mod command;
pub mod confine;
pub mod conform;
pub mod corpus;
pub mod diff;
pub mod discover;
pub mod doctor;
pub mod explain;
pub mod input;
pub mod inspect;
pub mod install;
pub mod judge;
pub mod live;
pub mod load;
pub mod matrix;
pub mod options;
pub mod overview;
pub mod owner;
pub mod picture;
pub mod protocol;
pub mod prove;
pub mod record;
pub mod report;
pub mod scaffold;
pub mod spawn;
pub mod stage_cell;
pub mod state;
pub mod summary;
pub mod watch;
pub mod whatif;
pub mod why;
pub mod worker;
