//! In flight: the unsettled deliveries of a lane, and the credit that is left for more.

mod table;
#[cfg(test)]
mod tests;
mod window;

pub use self::table::InFlight;
pub use self::window::Window;
