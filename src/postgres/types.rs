//! Values as PostgreSQL's binary protocol spells them.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

/// 2000-01-01, from which `timestamptz` counts, in Unix microseconds.
pub(crate) const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// A `timestamptz`, in Unix microseconds: exact, and without a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnixMicros(pub i64);

impl ToSql for UnixMicros {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(self.0.saturating_sub(POSTGRES_EPOCH_US));
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for UnixMicros {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let since_2000 = i64::from_be_bytes(raw.try_into()?);
        Ok(UnixMicros(since_2000.saturating_add(POSTGRES_EPOCH_US)))
    }

    accepts!(TIMESTAMPTZ);
}

/// Text that PostgreSQL can hold: it refuses U+0000, which becomes U+FFFD.
pub(crate) fn storable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}").into() } else { text.into() }
}
