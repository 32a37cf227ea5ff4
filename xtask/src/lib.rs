//! What tests share with the developer's verbs: real services, started for a test and gone with it.

pub mod services;
