//! The kinds of rows, a file for each.

mod command_ack;
mod event;
mod refused;
mod rejection;
mod shadow_report;
