//! The rules of the engine, one file a matter, in a model world (`common`): by example, by
//! exhaustive search (`search`) and by random histories over random graphs (`histories`). One
//! binary, so that the world is compiled once.

mod apply;
mod common;
mod completed;
mod ended;
mod graph;
mod histories;
mod jobs;
mod judgement;
mod leftovers;
mod once_and_run;
mod probes;
mod readiness;
mod reload;
mod reload_asked;
mod restart;
mod restored;
mod search;
mod shutdown;
mod start;
mod stop;
mod stopping;
mod wants;
mod watchdog;
