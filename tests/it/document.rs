//! Blocks of the documentation, to be copied by operators and run by tests.

use std::path::Path;

/// The fenced block behind the mark `<!-- block: NAME -->` of a document in `docs`.
///
/// # Panics
/// When the document has none.
pub(crate) fn block(document: &str, name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(document);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("cannot read {}: {e}", file.display()));
    let mark = format!("<!-- block: {name} -->");
    let lines: Vec<&str> = text
        .lines()
        .skip_while(|line| *line != mark)
        .skip_while(|line| !line.starts_with("```"))
        .skip(1)
        .take_while(|line| *line != "```")
        .collect();
    assert!(!lines.is_empty(), "{} has no block `{mark}`", file.display());
    lines.join("\n")
}
