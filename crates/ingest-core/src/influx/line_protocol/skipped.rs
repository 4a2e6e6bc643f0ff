//! Skipped fields: why a metric is in its row but not in its point.

/// Why a metric is in its row but not in its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skipped {
    /// Its name is reserved in points.
    Reserved,
    /// The point has a field of that name already.
    Duplicate,
    /// A string.
    Text,
    /// A null.
    Null,
    /// An object or an array.
    Nested,
    /// A float beyond f64.
    NotFinite,
    /// An integer beyond i64.
    OutOfRange,
    /// The column holds another type, to which the value can't be coerced.
    TypeConflict,
    /// The table, or the field's family, has reached its limit of columns and has none of this name.
    ColumnsFull,
    /// The tenant has created as many columns as it may.
    FieldBudget,
}

impl Skipped {
    /// All reasons, in the order of their declaration.
    pub const ALL: [Skipped; 10] = [
        Skipped::Reserved,
        Skipped::Duplicate,
        Skipped::Text,
        Skipped::Null,
        Skipped::Nested,
        Skipped::NotFinite,
        Skipped::OutOfRange,
        Skipped::TypeConflict,
        Skipped::ColumnsFull,
        Skipped::FieldBudget,
    ];

    /// The label value of `ingest_influx_fields_skipped_total{reason}`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Skipped::Reserved => "reserved",
            Skipped::Duplicate => "duplicate",
            Skipped::Text => "text",
            Skipped::Null => "null",
            Skipped::Nested => "nested",
            Skipped::NotFinite => "not_finite",
            Skipped::OutOfRange => "out_of_range",
            Skipped::TypeConflict => "type_conflict",
            Skipped::ColumnsFull => "columns_full",
            Skipped::FieldBudget => "field_budget",
        }
    }
}
