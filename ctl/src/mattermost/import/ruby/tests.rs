//! What is read from Ruby.
