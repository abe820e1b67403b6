//! Tests of the engine's rules in a model world (`common`), one file per subject: by example, by
//! exhaustive search (`search`), and by random histories over random graphs (`histories`). They are
//! one binary, so the model world is compiled once.

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
