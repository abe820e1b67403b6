//! The server's mails, and its messages when a mail fails: the console's test, a welcome, and
//! notifications of people who are mentioned by name. Nobody is ever online here, and nobody has
//! chosen to get no mail.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    http::{Server, refused},
    message::Message,
    smtp::{self, Relay},
    users,
};

const SECTION: &str = "EmailSettings";

/// Tests the connection to the mail server at the start, where notifications by mail are on. The
/// start does not wait for the test.
pub(crate) async fn test(server: &Server) {
    if !notifies(server) {
        return;
    }
    let relay = Relay::of(&server.config);
    if let Err(error) = blocking(move || smtp::test(&relay)).await {
        let fields = [("error", error.as_str())];
        server
            .log
            .error("Mail server connection test failed", &fields);
    }
}

/// `POST /api/v4/email/test`: mail to the administrator who asks, even if notifications are off.
pub(crate) async fn try_out(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let Some(user) = users::signed_in(&server, &headers).await else {
        return users::expired();
    };
    if !user.roles.split(' ').any(|role| role == "system_admin") {
        let id = "api.context.permissions.app_error";
        let message = "You do not have the appropriate permissions.";
        return refused(StatusCode::FORBIDDEN, id, message);
    }
    if server.config.text(SECTION, "SMTPServer").is_empty() {
        let id = "api.admin.test_email.missing_server";
        return refused(StatusCode::BAD_REQUEST, id, "SMTP Server is required");
    }
    let subject = "Mattermost - Testing Email Settings";
    let body = "It appears your Mattermost email is setup correctly!";
    match send(&server, &user.email, subject, body).await {
        Ok(()) => Json(json!({"status": "OK"})).into_response(),
        Err(error) => refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "app.admin.test_email.failure",
            &format!("Connection unsuccessful: {error}"),
        ),
    }
}

/// Sends the mail that a new user gets.
pub(crate) async fn welcome(server: &Server, address: &str) {
    if !notifies(server) {
        return;
    }
    let site = server.config.text("ServiceSettings", "SiteURL");
    let subject = format!("[{}] You joined {}", site_name(server), smtp::host(site));
    if let Err(error) = send(server, address, &subject, "Welcome!").await {
        let fields = [("to", address), ("error", error.as_str())];
        server.log.error("Failed to send welcome email", &fields);
    }
}

/// Notifies everybody whom a message mentions as `@name`: at once, or later where mail is batched.
pub(crate) async fn mentioned(server: &Server, message: &str) {
    if !notifies(server) {
        return;
    }
    let words = message.split(|c: char| !c.is_alphanumeric() && !"@._-".contains(c));
    let names: Vec<&str> = words.filter_map(|word| word.strip_prefix('@')).collect();
    let users = server.database.users().await.unwrap_or_default();
    for user in users
        .iter()
        .filter(|it| names.contains(&it.username.as_str()))
    {
        if server.batches.add(server, &user.email, message) {
            continue;
        }
        let subject = format!("[{}] Notification on {}", site_name(server), today());
        if let Err(error) = send(server, &user.email, &subject, message).await {
            let fields = [("user_email", user.email.as_str()), ("error", &error)];
            server.log.error("Error while sending the email", &fields);
        }
    }
}

/// Sends one mail for all mentions of a person.
pub(crate) async fn batched(server: &Server, address: &str, messages: &[String]) {
    let (site, count) = (site_name(server), messages.len());
    let many = if count == 1 { "" } else { "s" };
    let subject = format!("[{site}] New Notification{many} for {}", today());
    if let Err(error) = send(server, address, &subject, &messages.join("\r\n")).await {
        let fields = [("email", address), ("error", error.as_str())];
        let said = "Unable to send batched email notification";
        server.log.warn(said, &fields);
    }
}

async fn send(server: &Server, to: &str, subject: &str, body: &str) -> Result<(), String> {
    let relay = Relay::of(&server.config);
    let setting = |key| server.config.text(SECTION, key);
    let message = Message {
        name: setting("FeedbackName"),
        from: setting("FeedbackEmail"),
        reply_to: setting("ReplyToAddress"),
        host: &smtp::host(server.config.text("ServiceSettings", "SiteURL")),
        to,
        subject,
        body,
    };
    let (text, from, to) = (message.text(), message.from.to_owned(), to.to_owned());
    if setting("SMTPServer").is_empty() {
        return Ok(());
    }
    blocking(move || smtp::send(&relay, &from, &to, &text)).await
}

async fn blocking<F>(work: F) -> Result<(), String>
where
    F: FnOnce() -> Result<(), String> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
}

fn notifies(server: &Server) -> bool {
    server.config.flag(SECTION, "SendEmailNotifications")
}

fn site_name(server: &Server) -> &str {
    server.config.text("TeamSettings", "SiteName")
}

fn today() -> String {
    jiff::Timestamp::now().strftime("%B %-d, %Y").to_string()
}
