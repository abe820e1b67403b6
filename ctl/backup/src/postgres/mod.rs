//! A `PostgreSQL` server, asked and dumped by its own programs.

mod dump;
mod facts;
mod feed;
mod live;
mod load;
mod locale;
mod server;
mod session;
mod source;
mod tools;

pub use dump::Dump;
pub use facts::{Facts, Index, RoleSettings, Table};
pub(crate) use facts::{facts, tables};
pub(crate) use feed::Reader;
pub use live::Live;
pub(crate) use load::{as_owner, compare, create, drop_database, restore, settings};
pub(crate) use locale::known;
pub use server::Server;
pub use session::{Session, literal, quoted};
pub use tools::Tools;
