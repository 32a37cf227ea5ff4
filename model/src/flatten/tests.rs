//! Claims about flattening.
