//! How a secret is made: `generate` of a setting.

use std::fmt::Write as _;

/// How a secret is made: `hex:16` is 16 random bytes as 32 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    alphabet: Alphabet,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alphabet {
    Hex,
    Base64,
}

/// A secret has at most this many random bytes.
const MAX_BYTES: usize = 256;

impl Spec {
    /// Reads `hex:16` or `base64:32`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is not a way to make a secret; write \"hex:16\" for 16 random bytes")
        };
        let (alphabet, bytes) = text.split_once(':').ok_or_else(wrong)?;
        let alphabet = match alphabet {
            "hex" => Alphabet::Hex,
            "base64" => Alphabet::Base64,
            _ => return Err(wrong()),
        };
        match bytes.parse() {
            Ok(bytes) if (1..=MAX_BYTES).contains(&bytes) => Ok(Self { alphabet, bytes }),
            _ => Err(wrong()),
        }
    }

    /// A command by which a person can make such a secret.
    pub(crate) fn command(self) -> String {
        let way = match self.alphabet {
            Alphabet::Hex => "hex",
            Alphabet::Base64 => "base64",
        };
        format!("openssl rand -{way} {}", self.bytes)
    }

    /// Number of random bytes that the secret takes.
    pub fn random_bytes(self) -> usize {
        self.bytes
    }

    pub(crate) fn text(self) -> String {
        let name = match self.alphabet {
            Alphabet::Hex => "hex",
            Alphabet::Base64 => "base64",
        };
        format!("{name}:{}", self.bytes)
    }

    /// Stands for the secret in a plan until it is made.
    pub(crate) fn placeholder(self) -> String {
        self.encode(&vec![0; self.bytes])
    }

    /// The secret that these random bytes make.
    pub(crate) fn encode(self, random: &[u8]) -> String {
        match self.alphabet {
            Alphabet::Hex => random.iter().fold(String::new(), |mut out, byte| {
                let _ = write!(out, "{byte:02x}");
                out
            }),
            Alphabet::Base64 => base64(random),
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            if place <= chunk.len() {
                let digit = (word >> (18 - 6 * place)) & 63;
                out.push(char::from(DIGITS[digit as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}
