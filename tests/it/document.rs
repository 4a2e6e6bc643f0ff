//! Blocks of the documentation, to be copied by operators and run by tests.

use std::path::Path;

/// The text of a document in `docs`.
fn text_of(document: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(document);
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("cannot read {}: {e}", file.display()))
}

/// The fenced block behind the mark `<!-- block: NAME -->` of a document in `docs`.
///
/// # Panics
/// When the document has none.
pub(crate) fn block(document: &str, name: &str) -> String {
    let text = text_of(document);
    let mark = format!("<!-- block: {name} -->");
    let lines: Vec<&str> = text
        .lines()
        .skip_while(|line| *line != mark)
        .skip_while(|line| !line.starts_with("```"))
        .skip(1)
        .take_while(|line| *line != "```")
        .collect();
    assert!(!lines.is_empty(), "docs/{document} has no block `{mark}`");
    lines.join("\n")
}

/// All fenced blocks of shell commands of a document, each with the heading that it stands below.
///
/// # Panics
/// When it has none.
pub(crate) fn scripts(document: &str) -> Vec<(String, String)> {
    let text = text_of(document);
    let (mut found, mut heading, mut script) = (Vec::new(), String::new(), None::<String>);
    for line in text.lines() {
        match &mut script {
            Some(commands) if line == "```" => {
                found.push((heading.clone(), std::mem::take(commands)));
                script = None;
            }
            Some(commands) => commands.push_str(&format!("{line}\n")),
            None if line == "```sh" => script = Some(String::new()),
            None => {
                if let Some(title) = line.strip_prefix('#') {
                    title.trim_matches(['#', ' ']).clone_into(&mut heading);
                }
            }
        }
    }
    assert!(!found.is_empty(), "docs/{document} has no commands");
    found
}

/// The cells of the table behind the mark `<!-- table: NAME -->`, row by row, without its head.
///
/// # Panics
/// When there is none.
pub(crate) fn table(document: &str, name: &str) -> Vec<Vec<String>> {
    let text = text_of(document);
    let mark = format!("<!-- table: {name} -->");
    let lines = text.lines().skip_while(|line| *line != mark).skip_while(|line| !line.starts_with('|'));
    let rows: Vec<_> = lines.skip(2).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty(), "docs/{document} has no table `{mark}`");
    rows
}

/// The cells of a table's line; a bar within one is written `\\|`.
fn cells(line: &str) -> Vec<String> {
    let line = line.replace("\\|", "\0");
    let cells = line.trim_matches('|').split('|');
    cells.map(|cell| cell.trim().replace('\0', "|")).collect()
}
