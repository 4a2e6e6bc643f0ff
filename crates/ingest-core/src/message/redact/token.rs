//! The name of the member that holds a provision token, and the mask that replaces a token.

/// The payload's member that holds a device's provision token.
pub const TOKEN_KEY: &str = "provision_token";

/// What stands in place of a removed token.
pub(super) const MASK: &str = "***";
