//! Where things become durable. Siblings never know each other; the writer hands on to the others by message.

pub(crate) mod influx;
pub(crate) mod postgres;
pub(crate) mod routes;
pub(crate) mod state;
