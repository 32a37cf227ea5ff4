//! The program, by running it.

mod bad_input;
mod cluster;
mod demo;
mod filter;
mod processes;
mod program;
mod pub_sub;
mod python;
mod reflection;
mod shape;
mod supply;
