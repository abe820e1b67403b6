//! From files to plan: the steps in their order.
//!
//! `inputs` reads the files and checks what the administrator says, `plan` renders every service
//! and checks the whole, `render` renders one template or text by itself. `options` says where to
//! look.

pub(crate) mod inputs;
pub(crate) mod options;
pub(crate) mod plan;
pub(crate) mod render;
