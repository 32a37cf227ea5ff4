//! Claims about filters.
