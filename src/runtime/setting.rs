//! A setting is declared once: field, type, default, accepted values, environment variable and documentation stand in one
//! place, from which the struct, its defaults, the list of settings, the file of defaults and the documentation are made.

use toml::{Table, Value};

use super::value_type::ValueType;

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Table and key in the file, with a dot between; the table's name may have a dot itself.
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
    /// Its table in the file (`influx.batch`: one below another), and its name there.
    pub(crate) fn path(&self) -> (&'static str, &'static str) {
        self.key.rsplit_once('.').unwrap_or((self.key, ""))
    }

    /// Its value in the whole configuration, where it has one.
    pub(crate) fn value_in<'a>(&self, configuration: &'a Table) -> Option<&'a Value> {
        let (tables, name) = self.path();
        let mut table = configuration;
        for below in tables.split('.') {
            table = table.get(below)?.as_table()?;
        }
        table.get(name)
    }
}

/// Declares a table of settings: `name: type = default, accepted values, "ENVIRONMENT_VARIABLE";`, the variable where there
/// is one. Makes the struct, its `Default` and its list `SETTINGS`. Tables below the table follow behind `and`: each is
/// declared by itself, with the name of both (`"influx.batch"`).
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident in $table:literal {
            $(
                $(#[doc = $line:literal])+
                $field:ident: $type:ty = $default:expr, $accepts:expr $(, $env:literal)?;
            )+
        }
        $(and {
            $(
                $(#[doc = $table_line:literal])+
                $table_field:ident: $table_type:ty,
            )+
        })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
        #[serde(default, deny_unknown_fields)]
        $visibility struct $name {
            $(
                $(#[doc = $line])+
                pub $field: $type,
            )+
            $($(
                $(#[doc = $table_line])+
                pub $table_field: $table_type,
            )+)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ $($($table_field: <$table_type>::default(),)+)? }
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
