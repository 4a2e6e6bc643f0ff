//! The users and roles of docs/rights.md, made from its own words: the node needs no more than that, and it is all they have.

mod gateway;
mod nats;
mod partitions;
mod postgres;
mod retention;
mod roles;
