//! Where things become durable. Siblings never know each other; the writer hands on to the others by message.

pub mod influx;
pub mod postgres;
pub mod routes;
pub mod state;
