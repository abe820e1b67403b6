//! Mail, as far as one sees it fail: the mail server is asked for its greeting, and nothing is sent.

use std::time::Duration;

use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::http::Server;

/// Longest greeting that is looked at.
const GREETING: usize = 512;

/// At the start, where notifications by mail are on: whether there is a mail server. It delays nothing.
pub(crate) async fn test(server: &Server) {
    if let Err(error) = greeting(server).await {
        let fields = [("error", error.as_str())];
        server
            .log
            .error("Mail server connection test failed", &fields);
    }
}

/// The mail that a new user gets.
pub(crate) async fn welcome(server: &Server, address: &str) {
    if let Err(error) = greeting(server).await {
        let fields = [("to", address), ("error", error.as_str())];
        server.log.error("Failed to send welcome email", &fields);
    }
}

/// Nothing where notifications are off.
async fn greeting(server: &Server) -> Result<(), String> {
    let config = &server.config;
    if !config.flag("EmailSettings", "SendEmailNotifications") {
        return Ok(());
    }
    let setting = |key| config.text("EmailSettings", key);
    let address = format!("{}:{}", setting("SMTPServer"), setting("SMTPPort"));
    let limit = config.all()["EmailSettings"]["SMTPServerTimeout"].as_u64();
    let limit = Duration::from_secs(limit.unwrap_or(10));
    let asked = tokio::time::timeout(limit, async {
        let mut stream = TcpStream::connect(&address).await?;
        let mut greeting = [0; GREETING];
        let length = stream.read(&mut greeting).await?;
        Ok::<bool, std::io::Error>(greeting[..length].starts_with(b"220"))
    });
    let told = match asked.await {
        Ok(Ok(true)) => return Ok(()),
        Ok(Ok(false)) => "no greeting of a mail server".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "timed out".to_owned(),
    };
    Err(format!(
        "unable to connect to the SMTP server {address}: {told}"
    ))
}
