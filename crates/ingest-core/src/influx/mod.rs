//! What InfluxDB is sent: line protocol, types, budgets of fields, names.

pub mod columns;
pub mod field_budget;
pub mod field_types;
pub mod fitting;
pub mod line_fields;
pub mod line_protocol;
pub mod names;
pub mod point;
pub mod rebuild;
