//! Activation codes and tokens that nobody can guess: random numbers of the operating system's.

use super::error::ProvisionError;
use ingest_core::provision::credentials::{self, CODE_BYTES, TOKEN_BYTES};

/// A new activation code.
pub(super) fn new_code() -> Result<String, ProvisionError> {
    Ok(credentials::activation_code(&random::<CODE_BYTES>()?))
}

/// A new provision token.
pub(super) fn new_token() -> Result<String, ProvisionError> {
    Ok(credentials::provision_token(&random::<TOKEN_BYTES>()?))
}

fn random<const N: usize>() -> Result<[u8; N], ProvisionError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| ProvisionError::Unavailable(format!("no random numbers: {error}")))?;
    Ok(bytes)
}
