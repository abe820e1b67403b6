//! Drives the real binaries and real services from outside.
