use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::super::json::scrub;
use super::super::opaque::opaque;
use super::inspection::ENCODED_MARK;
use super::is_unreadable;

const SECRET: &str = r#"{"seq":1,"provision_token":"S3CR3T-0001","metrics":{"temp_c":21.5}}"#;
const HARMLESS: &str = r#"{"seq":1,"device":"dev-0001","note":"nothing to hide","metrics":{"temp_c":21.5}}"#;

fn base64_of(bytes: &[u8], url: bool, padded: bool) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let symbol = |sextet: u32| match sextet {
        62 => {
            if url {
                '-'
            } else {
                '+'
            }
        }
        63 => {
            if url {
                '_'
            } else {
                '/'
            }
        }
        other => char::from(alphabet[other as usize]),
    };
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|n| text.push(symbol(bits >> (18 - 6 * n) & 63)));
        if padded {
            (chunk.len()..3).for_each(|_| text.push('='));
        }
    }
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text in every encoding that is text itself.
fn texts(plain: &str) -> Vec<String> {
    let bytes = plain.as_bytes();
    let standard = |bytes: &[u8]| base64_of(bytes, false, true);
    let wide: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wrapped: Vec<String> =
        standard(bytes).as_bytes().chunks(16).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    vec![
        standard(bytes),
        base64_of(bytes, true, false),
        format!("data:application/json;base64,{}", standard(bytes)),
        format!("Basic {}", standard(bytes)),
        format!("payload={}", base64_of(bytes, true, true)),
        wrapped.join("\r\n"),
        standard(&gzip(bytes)),
        standard(&zlib(bytes)),
        base64_of(&deflate(bytes), true, false),
        standard(standard(bytes).as_bytes()),
        standard(standard(&gzip(bytes)).as_bytes()),
        standard(&gzip(standard(bytes).as_bytes())),
        standard(&gzip(&zlib(bytes))),
        standard(&wide),
        hex_of(bytes),
        hex_of(bytes).to_uppercase(),
        format!("0x{}", hex_of(bytes)),
        hex_of(&gzip(bytes)),
        standard(hex_of(bytes).as_bytes()),
        format!("{:?}", bytes),
        format!("{:?}", gzip(bytes)),
    ]
}

#[test]
fn an_encoded_token_is_masked_in_text_and_in_json() {
    for encoded in texts(SECRET) {
        let raw = format!("some words, {encoded}, more words NaN");
        let kept = String::from_utf8(opaque(raw.as_bytes()).into_owned()).unwrap();
        assert!(kept.contains(ENCODED_MARK) && kept.ends_with("NaN"), "{raw} is kept as {kept}");
        assert!(!kept.contains(&encoded[encoded.len() - 24..]), "{raw} is kept as {kept}");
        let json = serde_json::json!({ "a": [1, { "b": encoded }], "c": 2 }).to_string();
        let kept = scrub(&json);
        let value: serde_json::Value = serde_json::from_str(&kept).unwrap();
        assert!(value["a"][1]["b"].as_str().unwrap().starts_with(ENCODED_MARK), "{json} is kept as {kept}");
        assert_eq!(value["c"], 2);
        let as_key = format!(r#"{{{}:1}}"#, serde_json::Value::from(encoded));
        assert!(scrub(&as_key).starts_with(r#"{"*** (encoded"#), "{as_key}");
    }
}

#[test]
fn an_encoding_without_a_token_is_unchanged() {
    for encoded in texts(HARMLESS) {
        let json = serde_json::json!({ "a": [1, { "b": encoded }], "c": 2 }).to_string();
        assert_eq!(scrub(&json), json);
        assert_eq!(opaque(encoded.as_bytes()), encoded.as_bytes());
    }
    for text in [
        "a 3f2504e0-4f89-11d3-9a0c-0305e82c3301 755b2046dd8bb3da36b9fcd5a7ac5e1f363cd6aa530710454154d09d1441ea6e",
        "[12, 250, 3, 77, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 254, 253]",
        "the quick brown fox jumps over the lazy dog and so on and so forth until it is tired",
    ] {
        assert_eq!(opaque(text.as_bytes()), text.as_bytes());
    }
    assert_eq!(opaque("xyz0".repeat(500).as_bytes()), "xyz0".repeat(500).as_bytes());
}

#[test]
fn a_list_of_bytes_is_masked_and_the_rest_stays_json() {
    let json = format!(r#"{{"type":"Buffer","data":{:?},"n":[1,2,3]}}"#, SECRET.as_bytes());
    let value: serde_json::Value = serde_json::from_str(&scrub(&json)).unwrap();
    assert!(value["data"][0].as_str().unwrap().starts_with(ENCODED_MARK));
    assert_eq!(value["n"], serde_json::json!([1, 2, 3]));
}

#[test]
fn characters_that_are_bytes_are_inspected() {
    let text: String = gzip(SECRET.as_bytes()).into_iter().map(char::from).collect();
    let json = serde_json::json!({ "a": text }).to_string();
    assert!(scrub(&json).contains(ENCODED_MARK));
}

#[test]
fn a_compression_that_can_not_be_opened_counts_as_hiding_a_token() {
    let bomb = gzip(&vec![b' '; 1024 * 1024]);
    let cut = gzip(SECRET.repeat(20).as_bytes());
    let followed = [gzip(HARMLESS.as_bytes()), gzip(SECRET.as_bytes())].concat();
    let zstd = [&b"\x28\xb5\x2f\xfd"[..], &[7; 40]].concat();
    for closed in [&bomb[..], &cut[..cut.len() / 2], &followed, &zstd] {
        assert!(is_unreadable(closed));
        let json = serde_json::json!({ "a": base64_of(closed, false, true) }).to_string();
        assert!(scrub(&json).contains(ENCODED_MARK), "{json}");
    }
}

#[test]
fn bytes_are_readable_where_they_are_text_or_open_to_harmless_text() {
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
    let latin = b"{\"name\":\"Gr\xfc\xdfe aus M\xfcnchen\"}".to_vec();
    let of_harmless = [gzip, zlib, deflate].map(|encode| encode(HARMLESS.as_bytes()));
    for readable in [&of_harmless[..], &[wide(HARMLESS), latin, HARMLESS.into(), "温度".repeat(20).into()]].concat() {
        assert!(!is_unreadable(&readable), "{readable:?}");
    }
    let noise: Vec<u8> = (0..200_u32).map(|n| ((n * n * 7 + n * 31) >> 3) as u8).collect();
    let of_secret = [gzip, zlib, deflate].map(|encode| encode(SECRET.as_bytes()));
    let headed = [HARMLESS.as_bytes(), &gzip(SECRET.as_bytes())].concat();
    for unreadable in [&of_secret[..], &[noise, gzip(&gzip(SECRET.as_bytes())), headed]].concat() {
        assert!(is_unreadable(&unreadable), "{unreadable:?}");
    }
}

#[test]
fn texts_beyond_the_budget_are_masked_and_show_no_secret() {
    let mut nested = SECRET.as_bytes().to_vec();
    for _ in 0..12 {
        nested = base64_of(&nested, false, true).into_bytes();
    }
    for text in [nested, vec![b'A'; 200_000], b"[1,".repeat(60_000), b"QUJD ".repeat(40_000), b"e".repeat(200_000)] {
        let shown = opaque(&text);
        assert!(shown.len() <= text.len() + 200, "{} bytes of {}", shown.len(), text.len());
        assert!(!shown.windows(6).any(|bytes| bytes == b"S3CR3T"));
    }
}

#[test]
fn a_number_that_spells_the_key_is_masked_too() {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02X}")).collect() };
    let number = hex(hex(SECRET.as_bytes()).as_bytes());
    assert!(number.bytes().all(|byte| byte.is_ascii_digit()));
    for json in [number.clone(), format!("-{number}"), format!("{{\"a\":[1,{number}],\"b\":2.5}}")] {
        let shown = scrub(&json);
        assert!(!shown.contains(&number[..40]) && shown.contains(ENCODED_MARK), "{shown}");
        assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok(), "{shown}");
    }
    let harmless = format!("[{},1.5e-3,-7]", "1234567890".repeat(30));
    assert_eq!(scrub(&harmless), harmless);
}
