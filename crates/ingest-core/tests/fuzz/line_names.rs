//! The inverse of the percent-encoding of names in line protocol, for tests that compare written with parsed names.

/// A name as a reader of points decodes it.
pub(crate) fn decoded(written: &str) -> String {
    let is_code = |code: &str| {
        code.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'))
            && u8::from_str_radix(code, 16).is_ok_and(|byte| byte < 0x20 || matches!(byte, 0x25 | 0x5C | 0x7F))
    };
    let mut parts = written.split('%');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..2).filter(|code| is_code(code)) {
            Some(code) => {
                name.push(char::from(u8::from_str_radix(code, 16).expect("two hexadecimal digits")));
                name.push_str(&part[2..]);
            }
            None => {
                name.push('%');
                name.push_str(part);
            }
        }
    }
    name
}
