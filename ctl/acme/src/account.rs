//! The account at the authority: who we are there. Its key is a secret.

use std::path::Path;

use client::{Error, Kind};
use instant_acme::{Account, AccountCredentials, NewAccount};
use serde::{Deserialize, Serialize};

use super::{Order, authority, store, with_file};

/// Largest account file that is read.
const ACCOUNT_BYTES_MAX: u64 = 1 << 20;

/// The stored account.
#[derive(Deserialize, Serialize)]
pub(super) struct Known {
    /// Directory URL of the authority that knows the account.
    pub(super) directory: String,
    contact_emails: Vec<String>,
    /// Whether the account has obtained a certificate.
    pub(super) issued: bool,
    credentials: AccountCredentials,
}

/// Reads the stored account; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Known>, Error> {
    let bytes = match safe_path::read(path, ACCOUNT_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(with_file("read", path, &error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let message = format!(
            "{} is damaged: {}",
            path.display(),
            text::json_place(&error)
        );
        Error::new(Kind::Failed, message)
            .hint("remove it: another account is made, which costs nothing")
    })
}

/// Opens the account, or creates one if there is none at this authority. Answers what to store.
pub(super) async fn open(order: &Order, known: Option<Known>) -> Result<(Account, Known), Error> {
    let contacts: Vec<String> = order
        .contact_emails
        .iter()
        .map(|it| format!("mailto:{it}"))
        .collect();
    let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
    let builder = || authority::builder(order);
    let failed = |error: &instant_acme::Error| {
        authority::failure("cannot use the account at the authority", order, error)
    };
    if let Some(known) = known.filter(|known| known.directory == order.directory) {
        // The library gives them away.
        let credentials = again(&known.credentials)?;
        let account = builder()?
            .from_credentials(credentials)
            .await
            .map_err(|error| failed(&error))?;
        if known.contact_emails == order.contact_emails {
            return Ok((account, known));
        }
        account
            .update_contacts(&contacts)
            .await
            .map_err(|error| failed(&error))?;
        let known = Known {
            contact_emails: order.contact_emails.clone(),
            ..known
        };
        keep(order, &known)?;
        return Ok((account, known));
    }
    let new = NewAccount {
        contact: &contacts,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let made = builder()?.create(&new, order.directory.clone(), None).await;
    let (account, credentials) = made.map_err(|error| {
        authority::failure("cannot make an account at the authority", order, &error)
    })?;
    let known = Known {
        directory: order.directory.clone(),
        contact_emails: order.contact_emails.clone(),
        issued: false,
        credentials,
    };
    keep(order, &known)?;
    Ok((account, known))
}

/// Stores that this account has obtained a certificate.
pub(super) fn issued(order: &Order, known: Known) -> Result<(), Error> {
    if known.issued {
        return Ok(());
    }
    keep(
        order,
        &Known {
            issued: true,
            ..known
        },
    )
}

fn keep(order: &Order, known: &Known) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(known).expect("an account is plain data");
    store::write(&order.account, &text, 0o600, None)
}

fn again(credentials: &AccountCredentials) -> Result<AccountCredentials, Error> {
    let copied = serde_json::to_value(credentials).and_then(serde_json::from_value);
    copied.map_err(|_| Error::new(Kind::Failed, "the account is damaged"))
}
