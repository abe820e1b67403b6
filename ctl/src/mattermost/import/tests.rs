//! Imports of whole files.
