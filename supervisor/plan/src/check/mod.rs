//! Checks across services: dependencies, addresses, directories, size.
//!
//! `graph` resolves dependencies and refuses loops, `ports` finds two services on one address,
//! `places` files in somebody else's directories, `unworkable` programs that are not there,
//! `certificates` those that clients would not trust, `size` a plan that the keeper cannot hold.
//!
//! These checks run once every service is rendered. Warnings about the disk come last, and only for
//! a plan without errors.

pub mod certificates;
pub(crate) mod graph;
pub(crate) mod places;
pub(crate) mod ports;
pub(crate) mod size;
pub(crate) mod unworkable;
