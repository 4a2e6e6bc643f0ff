//! A setting is declared once: field, type, default, accepted values, environment variable and documentation stand in one
//! place, from which the struct, its defaults, the list of settings, the file of defaults and the documentation are made.

use super::value_type::ValueType;

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Table and key in the file, with a dot between.
    pub key: &'static str,
    /// The environment variable that overrides the file, where there is one.
    pub env: Option<&'static str>,
    /// What it accepts.
    pub value_type: ValueType,
    /// The lines of its documentation. The first paragraph is for operators, what follows is for readers of the code.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documents are made of it, by a test"))]
    pub documentation: &'static [&'static str],
}

impl Setting {
    /// Its table in the file, and its name there.
    pub(crate) fn path(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').unwrap_or((self.key, ""))
    }
}

/// Declares a table of settings: `name: type = default, accepted values, "ENVIRONMENT_VARIABLE";`, the variable where there
/// is one. Makes the struct, its `Default` and its list `SETTINGS`.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident in $table:literal {
            $(
                $(#[doc = $line:literal])+
                $field:ident: $type:ty = $default:expr, $accepts:expr $(, $env:literal)?;
            )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
        #[serde(default, deny_unknown_fields)]
        $visibility struct $name {
            $(
                $(#[doc = $line])+
                pub $field: $type,
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $name {
            /// The settings of this table, in the order in which they are shown.
            pub(crate) const SETTINGS: &'static [$crate::runtime::setting::Setting] = &[
                $($crate::runtime::setting::Setting {
                    key: concat!($table, ".", stringify!($field)),
                    env: $crate::runtime::setting::settings!(@env $($env)?),
                    value_type: {
                        #[allow(unused_imports, reason = "no table has settings of every type")]
                        use $crate::runtime::value_type::{ValueType::*, whole};
                        $accepts
                    },
                    documentation: &[$($line),+],
                },)+
            ];
        }
    };
    (@env) => { None };
    (@env $env:literal) => { Some($env) };
}

pub(crate) use settings;
