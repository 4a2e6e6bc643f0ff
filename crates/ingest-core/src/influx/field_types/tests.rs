use super::*;

#[test]
fn the_servers_words_are_understood() {
    let conflict = |message| Conflict::parse(message).map(|conflict| (conflict.column, conflict.expected));
    assert_eq!(
        conflict(
            "invalid column type for column 'it's', expected ', expected iox::column_type::field::boolean, got \
             iox::column_type::field::float"
        ),
        Some(("it's', expected ".into(), FieldType::Boolean))
    );
    assert_eq!(
        conflict(
            "invalid column type for column 'zz', expected iox::column_type::tag, got \
             iox::column_type::field::float"
        ),
        Some(("zz".into(), FieldType::Other))
    );
    assert_eq!(
        conflict(
            "invalid column type for column 'site_id', expected iox::column_type::field::float, got \
             iox::column_type::tag"
        ),
        None
    );
    assert_eq!(
        conflict(
            "partial write: field type conflict: input field \"a\" is type b\" on measurement \"telemetry\" is type \
             integer, already exists as type float dropped=1"
        ),
        Some(("a\" is type b".into(), FieldType::Float))
    );
    assert_eq!(conflict("No fields were provided"), None);
}
