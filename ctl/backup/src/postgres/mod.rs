//! A `PostgreSQL` server, asked and dumped by its own programs.

mod dump;
mod facts;
mod server;
mod session;
mod source;
mod tools;

pub use dump::Dump;
pub(crate) use facts::tables;
pub use facts::{Facts, Index, RoleSettings, Table};
pub use server::Server;
pub use session::{Session, literal, quoted};
pub use tools::Tools;
