//! Pieces of Markdown.

/// One field of an encoding: its name, its bytes, what they mean.
pub struct Field {
    pub name: String,
    pub bytes: Vec<u8>,
    pub value: String,
}

/// A field.
pub fn field(name: &str, bytes: impl AsRef<[u8]>, value: impl ToString) -> Field {
    Field { name: name.to_owned(), bytes: bytes.as_ref().to_vec(), value: value.to_string() }
}

/// A text after its length byte.
pub fn text_field(name: &str, text: &str) -> Field {
    let len = u8::try_from(text.len()).expect("a short text");
    field(name, [&[len], text.as_bytes()].concat(), format!("{len} bytes: \"{text}\""))
}

/// The table of an encoding, and a check that its fields make all of it.
pub fn fields(encoding: &[u8], fields: &[Field]) -> String {
    let whole: Vec<u8> = fields.iter().flat_map(|field| field.bytes.clone()).collect();
    assert_eq!(hex::encode(whole), hex::encode(encoding), "the fields make the encoding");
    let mut offset = 0;
    let mut rows = Vec::new();
    for Field { name, bytes, value } in fields {
        rows.push(vec![
            offset.to_string(),
            bytes.len().to_string(),
            name.clone(),
            code(hex::encode(bytes)),
            value.clone(),
        ]);
        offset += bytes.len();
    }
    table(&["offset", "size", "field", "bytes", "value"], &rows)
}

/// A table.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(heads.to_vec());
    out.push_str(&line(vec!["---"; heads.len()]));
    for row in rows {
        out.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    out
}

/// A table of named values, each in code.
pub fn values(rows: &[(&str, String)]) -> String {
    let rows: Vec<_> =
        rows.iter().map(|(name, value)| vec![(*name).to_owned(), code(value)]).collect();
    table(&["what", "value"], &rows)
}

/// Text in code.
pub fn code(text: impl AsRef<str>) -> String {
    format!("`{}`", text.as_ref())
}

/// A block of code.
pub fn block(language: &str, text: &str) -> String {
    format!("```{language}\n{}\n```\n", text.trim_end())
}

/// The anchor of a heading, as GitHub makes it.
pub fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}
