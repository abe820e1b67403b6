//! The public half of a private key: by it key and certificate are seen to belong together. RSA,
//! P-256, P-384 and Ed25519, in PKCS#8 or in the older form of each; other kinds are known to
//! nobody here.

use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair,
    },
};
use rustls_pki_types::PrivateKeyDer;

/// Prefix of an elliptic-curve key in PKCS#8: version 0, id-ecPublicKey, and the curve.
const CURVES: [(&EcdsaSigningAlgorithm, &[u8]); 2] = [
    (
        &ECDSA_P256_SHA256_ASN1_SIGNING,
        b"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
    ),
    (
        &ECDSA_P384_SHA384_ASN1_SIGNING,
        b"\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
    ),
];
const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;

/// The public key as a certificate holds it (`subjectPublicKey`), unless the key is of another kind
/// or damaged.
pub(super) fn of(key: &PrivateKeyDer<'_>) -> Option<Vec<u8>> {
    match key {
        PrivateKeyDer::Pkcs1(key) => {
            let key = RsaKeyPair::from_der(key.secret_pkcs1_der()).ok()?;
            Some(key.public_key().as_ref().to_vec())
        }
        PrivateKeyDer::Sec1(key) => {
            let key = element(OCTET_STRING, key.secret_sec1_der());
            CURVES.iter().find_map(|(curve, before)| {
                let whole = element(SEQUENCE, &[*before, key.as_slice()].concat());
                of_curve(curve, &whole)
            })
        }
        PrivateKeyDer::Pkcs8(key) => of_pkcs8(key.secret_pkcs8_der()),
        _ => None,
    }
}

fn of_pkcs8(key: &[u8]) -> Option<Vec<u8>> {
    if let Ok(key) = RsaKeyPair::from_pkcs8(key) {
        return Some(key.public_key().as_ref().to_vec());
    }
    if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key) {
        return Some(key.public_key().as_ref().to_vec());
    }
    CURVES.iter().find_map(|(curve, _)| of_curve(curve, key))
}

fn of_curve(curve: &'static EcdsaSigningAlgorithm, key: &[u8]) -> Option<Vec<u8>> {
    let key = EcdsaKeyPair::from_pkcs8(curve, key, &SystemRandom::new()).ok()?;
    Some(key.public_key().as_ref().to_vec())
}

/// An element of DER.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut whole = vec![tag];
    match length {
        [] => whole.push(0),
        [short @ ..0x80] => whole.push(*short),
        long => {
            // As many bytes of it as a machine's word has, at most.
            #[expect(clippy::cast_possible_truncation, reason = "eight at most")]
            whole.push(0x80 | long.len() as u8);
            whole.extend(long);
        }
    }
    whole.extend(content);
    whole
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustls_pki_types::pem::PemObject as _;
    use x509_parser::{certificate::X509Certificate, pem::Pem, prelude::FromDer};

    use super::*;

    /// A key that openssl makes by these arguments, and the public key of a certificate for it.
    fn made(arguments: &[&str]) -> (Vec<u8>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let openssl = |arguments: &[&str]| {
            #[expect(
                clippy::disallowed_methods,
                reason = "a test makes its keys by openssl"
            )]
            let ran = Command::new("openssl")
                .current_dir(&dir)
                .args(arguments)
                .output();
            let ran = ran.unwrap();
            assert!(ran.status.success(), "{arguments:?}: {ran:?}");
        };
        openssl(arguments);
        openssl(&[
            "req",
            "-x509",
            "-key",
            "key",
            "-subj",
            "/CN=x",
            "-out",
            "certificate",
        ]);
        let read = |name| std::fs::read(dir.path().join(name)).unwrap();
        let certificate = Pem::iter_from_buffer(&read("certificate"))
            .next()
            .unwrap()
            .unwrap()
            .contents;
        let (_, certificate) = X509Certificate::from_der(&certificate).unwrap();
        let public = certificate.public_key().subject_public_key.data.to_vec();
        (read("key"), public)
    }

    #[test]
    fn each_form_of_each_kind_has_the_public_key_of_its_certificate() {
        for arguments in [
            &["genpkey", "-algorithm", "RSA", "-out", "key"][..],
            &["genrsa", "-traditional", "-out", "key", "2048"],
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-out",
                "key",
            ],
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-384",
                "-out",
                "key",
            ],
            &[
                "ecparam",
                "-genkey",
                "-noout",
                "-name",
                "prime256v1",
                "-out",
                "key",
            ],
            &[
                "ecparam",
                "-genkey",
                "-noout",
                "-name",
                "secp384r1",
                "-out",
                "key",
            ],
            &["genpkey", "-algorithm", "ED25519", "-out", "key"],
        ] {
            let (key, public) = made(arguments);
            let key = PrivateKeyDer::from_pem_slice(&key).unwrap();
            assert_eq!(of(&key), Some(public), "{arguments:?}");
        }
    }

    #[test]
    fn a_kind_that_is_not_known_has_none() {
        let (key, _) = made(&["genpkey", "-algorithm", "ED448", "-out", "key"]);
        let key = PrivateKeyDer::from_pem_slice(&key).unwrap();
        assert_eq!(of(&key), None);
    }
}
