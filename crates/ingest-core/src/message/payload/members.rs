//! The members of a payload as they stand in its text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::message::envelope::Text;
use crate::message::redact::TOKEN_KEY;

/// Members as found; the last of equal names wins, so none is validated before the end.
#[derive(Default)]
pub(super) struct Members<'a> {
    pub(super) tenant: Option<&'a str>,
    pub(super) site: Option<&'a str>,
    pub(super) seq: Option<&'a str>,
    pub(super) ts: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    pub(super) token: Option<&'a str>,
    pub(super) tokens: u32,
    pub(super) token_name_escaped: bool,
    /// Members beside the tokens.
    pub(super) others: u32,
    pub(super) metrics: Option<&'a str>,
    pub(super) lat: Option<&'a str>,
    pub(super) latitude: Option<&'a str>,
    pub(super) lng: Option<&'a str>,
    pub(super) longitude: Option<&'a str>,
}

/// Collects the members of an object.
pub(super) struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::default();
        while let Some(Text(name)) = map.next_key()? {
            members.others += u32::from(name != TOKEN_KEY);
            let member = match &*name {
                "ts" => &mut members.ts,
                "tenant_id" => &mut members.tenant,
                "site_id" => &mut members.site,
                "seq" => &mut members.seq,
                "version" => &mut members.version,
                "metrics" => &mut members.metrics,
                "lat" => &mut members.lat,
                "latitude" => &mut members.latitude,
                "lng" => &mut members.lng,
                "longitude" => &mut members.longitude,
                TOKEN_KEY => {
                    members.tokens += 1;
                    members.token_name_escaped |= matches!(name, Cow::Owned(_));
                    &mut members.token
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *member = Some(map.next_value::<&RawValue>()?.get());
        }
        Ok(members)
    }
}
