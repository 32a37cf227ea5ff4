//! The program, by running it.

mod filter;
mod program;
