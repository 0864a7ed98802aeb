//! What the command says: tables for people, one JSON document for programs.

pub mod json;
pub mod log;
pub mod output;
pub mod table;
