//! The planted secrets, the noted output, and the search for the secrets in the output.

use mattervisor_tests::Ctl;
/// Each secret with the place where it was planted, and the output to be searched.
#[derive(Default)]
pub(super) struct Planted {
    pub(super) secrets: Vec<(&'static str, String)>,
    /// Each output, with its source.
    said: Vec<(String, String)>,
}

impl Planted {
    /// A new secret for this place. The secret has characters that encodings change.
    pub(super) fn plant(&mut self, place: &'static str) -> String {
        let number = self.secrets.len();
        let secret = format!(
            "pl4nt3d+{number:02}/{:08x}~hush",
            0x9e37_79b9_u32.wrapping_mul(17 + u32::try_from(number).unwrap())
        );
        self.secrets.push((place, secret.clone()));
        secret
    }

    pub(super) fn note(&mut self, what: &str, bytes: impl AsRef<[u8]>) {
        let text = String::from_utf8_lossy(bytes.as_ref()).into_owned();
        self.said.push((what.to_owned(), text));
    }

    pub(super) fn told(&mut self, what: &str, told: &Ctl) {
        self.note(what, told.both());
    }

    /// Fails the test, and names each place where a secret has come out.
    pub(super) fn search(&self) {
        assert!(!self.secrets.is_empty() && !self.said.is_empty());
        let mut leaks = Vec::new();
        for (place, secret) in &self.secrets {
            for needle in disguises(secret) {
                for (what, text) in &self.said {
                    if text.contains(&needle) {
                        leaks.push(format!("the secret of {place}, as {needle}, in {what}"));
                    }
                }
            }
        }
        assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    }
}

/// The secret as it is, percent-encoded, and the part of its base64 that does not depend on what
/// stands around it, for each of the three positions where it may begin.
fn disguises(secret: &str) -> Vec<String> {
    let percent: String = secret
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    let mut all = vec![secret.to_owned(), percent.clone(), percent.to_lowercase()];
    // JSON may write a slash with a backslash.
    all.push(secret.replace('/', "\\/"));
    for skipped in 0..3 {
        let mut bytes = vec![0; skipped];
        bytes.extend(secret.bytes());
        let text = base64(&bytes);
        // The first characters hold bits of what stands before the secret, the last of what comes
        // behind.
        let first = [0, 2, 3][skipped];
        let whole = bytes.len() / 3 * 4;
        all.push(text[first..whole].to_owned());
    }
    all
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, at| {
            word << 8 | u32::from(chunk.get(at).copied().unwrap_or(0))
        });
        for place in 0..4 {
            out.push(char::from(
                DIGITS[((word >> (18 - 6 * place)) & 63) as usize],
            ));
        }
    }
    out
}

/// The search finds a secret in each of its disguises.
#[test]
fn a_secret_is_found_in_every_disguise() {
    let mut planted = Planted::default();
    let secret = planted.plant("a test");
    let percent = secret.replace('+', "%2B").replace('/', "%2F");
    let found = |text: &str| disguises(&secret).iter().any(|it| text.contains(it));
    assert!(found(&format!("x={secret}!")));
    assert!(found(&percent) && found(&percent.to_lowercase()));
    for before in ["", "a", "ab", "user:"] {
        assert!(
            found(&base64(format!("{before}{secret} and more").as_bytes())),
            "{before}"
        );
    }
    assert!(!found("pl4nt3d"));
}
