//! Points for InfluxDB: line protocol, column types, type coercion, field budgets, names of databases.

pub mod coercion;
pub mod columns;
pub mod field_budget;
pub mod field_types;
pub mod line_fields;
pub mod line_protocol;
pub mod names;
pub mod point;
pub mod rebuild;
