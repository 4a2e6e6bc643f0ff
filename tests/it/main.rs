//! The node as its users see it: a child process between a real nats-server, a real PostgreSQL and a stand-in for
//! InfluxDB 3. One file per theme; every test has servers, or at least a database, of its own.

mod cases;
mod world;
