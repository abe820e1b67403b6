//! TODO

pub(crate) mod context;
pub(crate) mod defaults;
pub(crate) mod enable;
pub(crate) mod find;
pub(crate) mod locals;
pub(crate) mod names;
pub(crate) mod origins;
pub(crate) mod outcome;
pub(crate) mod resolver;
pub(crate) mod search_path;
pub(crate) mod template;
pub(crate) mod template_file;
