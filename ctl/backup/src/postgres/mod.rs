//! Queries and dumps a `PostgreSQL` server by its own programs.
//!
//! The programs are of the server's version or newer: an older `pg_dump` refuses the server.

mod dump;
pub(crate) mod facts;
mod feed;
mod live;
mod load;
mod locale;
mod queries;
mod server;
mod session;
mod source;
mod tools;

pub use dump::{Asked, Dump};
pub use facts::{Facts, Index, RoleSettings, Table};
pub(crate) use feed::Reader;
pub use live::Live;
pub(crate) use load::{as_owner, compare, create, drop_database, restore, settings};
pub(crate) use locale::known;
pub(crate) use queries::facts;
pub use server::Server;
pub use session::{Session, literal, quoted};
pub use tools::Tools;
