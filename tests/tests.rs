//! The tests of all crates that use them from the outside, the program included: one program, so that it is linked
//! once.
//!
//! Data that they compare with: `parity` (what exporters' own pipelines gave) and `reference` (numbers of other
//! implementations), with the recipes that made them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod allocations;
mod batch;
mod cache;
mod calibrate;
mod camera;
mod cli;
mod eval;
mod examples;
mod exports;
mod frames;
mod graphs;
mod guarantee;
mod heads;
mod labels;
mod layers;
mod models;
mod page;
mod parity;
mod policy;
mod providers;
mod reference;
mod results;
mod runs;
mod station;
mod util;
