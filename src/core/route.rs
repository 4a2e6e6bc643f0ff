//! A tenant's message routes: which messages they match and the jobs they make.

/// An enabled route of a tenant.
#[derive(Clone, Debug)]
pub struct Route {}
