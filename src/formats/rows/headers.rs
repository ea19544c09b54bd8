//! The headers of a stream load that say how its rows are written.

/// Returns the names of a `columns` header, which may be in backquotes, or None if the header holds what annals does not
/// support, like expressions.
pub(crate) fn columns(header: &str) -> Option<Vec<String>> {
    let names = header.split(',').map(|name| {
        let name = name.trim();
        let bare = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).unwrap_or(name);
        let is_name = !bare.is_empty() && !bare.contains(['=', '(', ')', '`']);
        is_name.then(|| bare.to_string())
    });
    names.collect()
}

/// Returns the text of a separator, which may have the escapes `\x01`, `\t`, `\n`, `\r` and `\\`, or None if it has
/// another escape or is empty.
pub(crate) fn separator(header: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = header.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            text.push(char);
            continue;
        }
        match chars.next()? {
            't' => text.push('\t'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            '\\' => text.push('\\'),
            'x' | 'X' => {
                let byte = (chars.next()?.to_digit(16)? << 4) + chars.next()?.to_digit(16)?;
                text.push(char::from_u32(byte).filter(char::is_ascii)?);
            }
            _ => return None,
        }
    }
    (!text.is_empty()).then_some(text)
}
