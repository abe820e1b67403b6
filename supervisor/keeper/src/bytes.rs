//! Bytes in JSON: a string with one character a byte, for most of them are text.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Bytes of any kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self.0.iter().copied().map(char::from).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = text.chars().map(|one| u8::try_from(u32::from(one)));
        let bytes = bytes.collect::<Result<_, _>>();
        bytes
            .map(Self)
            .map_err(|_| D::Error::custom("a character that stands for no byte"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        let all = Bytes((0..=u8::MAX).collect());
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Bytes>(&text).unwrap(), all);
        serde_json::from_str::<Bytes>("\"€\"").unwrap_err();
    }
}
