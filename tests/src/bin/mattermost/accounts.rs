//! Accounts and sessions in the database.

use crate::{
    database::{Database, words},
    schema::random_text,
    users::{Arrival, Session, User},
};

/// Length of an id, as Mattermost's own.
const ID_LENGTH: usize = 26;
/// What is kept of the password `$1`: fit for a stand-in.
const HASH: &str = "encode(sha256(convert_to(id || $1, 'UTF8')), 'hex')";
const COLUMNS: &str = "id, username, email, auth_service, roles";
/// The first account becomes the administrator's.
const INSERT: &str = "INSERT INTO users (id, username, email, auth_service, auth_data, roles) \
     VALUES ($1, $2, $3, $4, $5, \
     CASE WHEN EXISTS (SELECT FROM users) THEN 'system_user' ELSE 'system_admin system_user' END) \
     RETURNING id, username, email, auth_service, roles";

impl Database {
    /// Finds or makes the account of a person whom GitLab vouches for, and begins a session.
    pub(crate) async fn sign_on(&self, arrival: &Arrival) -> Result<Session, String> {
        let guard = self.client().await;
        let client = guard.as_ref().ok_or("no connection")?;
        let query = "SELECT id FROM users WHERE auth_service = 'gitlab' AND auth_data = $1";
        let known = client
            .query_opt(query, &[&arrival.auth_data])
            .await
            .map_err(words)?;
        let user: String = if let Some(row) = known {
            row.get(0)
        } else {
            let id = random_text(ID_LENGTH);
            let row = client
                .query_one(
                    INSERT,
                    &[
                        &id,
                        &arrival.username,
                        &arrival.email,
                        &"gitlab",
                        &Some(&arrival.auth_data),
                    ],
                )
                .await
                .map_err(words)?;
            row.get(0)
        };
        let token = random_text(ID_LENGTH);
        let query = "INSERT INTO sessions (token, user_id) VALUES ($1, $2)";
        client
            .execute(query, &[&token, &user])
            .await
            .map_err(words)?;
        Ok(Session { token, user })
    }

    /// Makes an account that signs in by email or name, and a password.
    pub(crate) async fn add_user(
        &self,
        username: &str,
        email: &str,
        password: &str,
    ) -> Result<User, String> {
        let guard = self.client().await;
        let client = guard.as_ref().ok_or("no connection")?;
        let id = random_text(ID_LENGTH);
        let row = client
            .query_one(INSERT, &[&id, &username, &email, &"", &None::<&str>])
            .await
            .map_err(words)?;
        let query = format!("UPDATE users SET auth_data = {HASH} WHERE id = $2");
        client
            .execute(&query, &[&password, &id])
            .await
            .map_err(words)?;
        Ok(user(&row))
    }

    /// Begins a session of the account with this name or email and this password.
    pub(crate) async fn sign_in(
        &self,
        login: &str,
        password: &str,
    ) -> Result<Option<(Session, User)>, String> {
        let guard = self.client().await;
        let client = guard.as_ref().ok_or("no connection")?;
        let query = format!(
            "SELECT {COLUMNS} FROM users WHERE auth_service = '' AND (username = $2 OR email = $2) \
             AND auth_data = {HASH}"
        );
        let row = client.query_opt(&query, &[&password, &login]).await;
        let Some(user) = row.map_err(words)?.as_ref().map(user) else {
            return Ok(None);
        };
        let token = random_text(ID_LENGTH);
        let query = "INSERT INTO sessions (token, user_id) VALUES ($1, $2)";
        client
            .execute(query, &[&token, &user.id])
            .await
            .map_err(words)?;
        let session = Session {
            token,
            user: user.id.clone(),
        };
        Ok(Some((session, user)))
    }

    /// Gives an account these roles and no other.
    pub(crate) async fn set_roles(&self, id: &str, roles: &str) -> Result<User, String> {
        let guard = self.client().await;
        let client = guard.as_ref().ok_or("no connection")?;
        let query = format!("UPDATE users SET roles = $2 WHERE id = $1 RETURNING {COLUMNS}");
        let row = client.query_one(&query, &[&id, &roles]).await;
        Ok(user(&row.map_err(words)?))
    }

    /// All accounts, by name.
    pub(crate) async fn users(&self) -> Result<Vec<User>, String> {
        let guard = self.client().await;
        let client = guard.as_ref().ok_or("no connection")?;
        let query = format!("SELECT {COLUMNS} FROM users ORDER BY username");
        let rows = client.query(&query, &[]).await.map_err(words)?;
        Ok(rows.iter().map(user).collect())
    }

    /// The account whose session has this token.
    pub(crate) async fn user_of(&self, token: &str) -> Result<Option<User>, String> {
        let guard = self.client().await;
        let client = guard.as_ref().ok_or("no connection")?;
        let query = format!(
            "SELECT {COLUMNS} FROM users WHERE id = (SELECT user_id FROM sessions WHERE token = $1)"
        );
        let row = client.query_opt(&query, &[&token]).await.map_err(words)?;
        Ok(row.as_ref().map(user))
    }
}

fn user(row: &tokio_postgres::Row) -> User {
    User {
        id: row.get(0),
        username: row.get(1),
        email: row.get(2),
        auth_service: row.get(3),
        roles: row.get(4),
    }
}
