//! The daemon: `supervisor` is the keeper, `supervisor control` the control process.

mod ask;

fn main() {}
