//! A connection to a mail server.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use super::{Relay, Security, tls};

/// Longest line of an answer.
const LINE_MAX: usize = 64 << 10;
/// Most lines of one answer.
const LINES_MAX: usize = 1000;

/// Connects, and signs in where the settings ask for that: whether mail could be handed over.
pub(crate) fn test(relay: &Relay) -> Result<(), String> {
    Client::connect(relay).map_err(|why| format!("unable to connect: {why}"))?;
    Ok(())
}

/// Hands over one mail.
pub(crate) fn send(relay: &Relay, from: &str, to: &str, mail: &str) -> Result<(), String> {
    let mut client = Client::connect(relay)?;
    let eight = client
        .extension("8BITMIME")
        .map_or("", |_| " BODY=8BITMIME");
    client
        .command(250, &format!("MAIL FROM:<{from}>{eight}"))
        .map_err(|why| format!("failed to set the from address: {why}"))?;
    client
        .command(25, &format!("RCPT TO:<{to}>"))
        .map_err(|why| format!("failed to set the to address: {why}"))?;
    client
        .command(354, "DATA")
        .map_err(|why| format!("failed to add email message data: {why}"))?;
    // A line that begins with a dot gets a second dot.
    let stuffed = mail.replace("\n.", "\n..");
    client
        .command(250, &format!("{stuffed}\r\n."))
        .map_err(|why| format!("failed to close connection to the SMTP server: {why}"))?;
    // The real server, too, closes the connection before it says QUIT.
    Ok(())
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

/// A connection, signed in where the settings ask for that.
struct Client {
    connection: Option<Box<dyn Connection>>,
    encrypted: bool,
    /// The extensions that the server offers, each with its parameters.
    extensions: Vec<String>,
    /// Why the connection carries nothing any more.
    broken: Option<String>,
}

impl Client {
    fn connect(relay: &Relay) -> Result<Self, String> {
        let how = match relay.security {
            Security::Tls => "unable to connect to the SMTP server through TLS",
            Security::None | Security::StartTls => "unable to connect to the SMTP server",
        };
        let stream = dial(&relay.address(), relay.limit).map_err(|why| format!("{how}: {why}"))?;
        let limits = stream.try_clone().map_err(|error| error.to_string())?;
        let (connection, encrypted): (Box<dyn Connection>, bool) =
            if relay.security == Security::Tls {
                let stream = tls::client(stream, &relay.server, relay.skip_verification)
                    .map_err(|why| format!("{how}: {why}"))?;
                (Box::new(stream), true)
            } else {
                (Box::new(stream), false)
            };
        let mut client = Self {
            connection: Some(connection),
            encrypted,
            extensions: Vec::new(),
            broken: None,
        };
        let greeted = client.answer(220);
        greeted.map_err(|why| format!("unable to connect to the SMTP server: {why}"))?;
        let _ = limits.set_read_timeout(None);
        let hello = client.hello(&relay.hostname);
        hello.map_err(|why| format!("unable to send hello message: {why}"))?;
        if relay.security == Security::StartTls {
            client.start_tls(relay, limits);
        }
        if let Some((name, password)) = &relay.credentials {
            let done = client.sign_in(name, password);
            done.map_err(|why| format!("authentication failed: {why}"))?;
        }
        Ok(client)
    }

    fn hello(&mut self, hostname: &str) -> Result<(), String> {
        let name = if hostname.is_empty() {
            "localhost"
        } else {
            hostname
        };
        let Ok(answer) = self.command(250, &format!("EHLO {name}")) else {
            self.extensions.clear();
            return self.command(250, &format!("HELO {name}")).map(|_| ());
        };
        let lines = answer.lines().skip(1);
        self.extensions = lines.map(str::to_owned).collect();
        Ok(())
    }

    /// The parameters of an extension; `None` if the server does not offer the extension.
    fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find_map(|line| {
            let (word, parameters) = line.split_once(' ').unwrap_or((line, ""));
            (word == name).then_some(parameters)
        })
    }

    /// Starts TLS without looking at the outcome: a server that does not offer STARTTLS gets the
    /// rest in plain text, and a server whose certificate is wrong gets nothing more.
    fn start_tls(&mut self, relay: &Relay, stream: TcpStream) {
        if self.command(220, "STARTTLS").is_err() {
            return;
        }
        self.encrypted = true;
        match tls::client(stream, &relay.server, relay.skip_verification) {
            Ok(stream) => {
                self.connection = Some(Box::new(stream));
                let _ = self.hello(&relay.hostname);
            }
            Err(why) => self.broken = Some(why),
        }
    }

    fn sign_in(&mut self, name: &str, password: &str) -> Result<(), String> {
        if !self.encrypted {
            return Err("unencrypted connection".to_owned());
        }
        let methods = self.extension("AUTH").unwrap_or_default();
        let plain = methods.split(' ').any(|method| method == "PLAIN");
        let words = if plain {
            let both = base64(format!("\0{name}\0{password}").as_bytes());
            vec![format!("AUTH PLAIN {both}")]
        } else {
            let parts = [name, password].map(|it| base64(it.as_bytes()));
            [vec!["AUTH LOGIN".to_owned()], parts.to_vec()].concat()
        };
        let (last, first) = words.split_last().ok_or("nothing to say")?;
        for word in first {
            self.command(334, word)?;
        }
        self.command(235, last).map(|_| ())
    }

    /// Says a line and reads the answer, whose code must begin with `code`.
    fn command(&mut self, code: u16, line: &str) -> Result<String, String> {
        self.say(line)?;
        self.answer(code)
    }

    fn say(&mut self, line: &str) -> Result<(), String> {
        let connection = self.working()?;
        let sent = connection.write_all(format!("{line}\r\n").as_bytes());
        let sent = sent.and_then(|()| connection.flush());
        sent.map_err(|error| words(&error))
    }

    fn working(&mut self) -> Result<&mut Box<dyn Connection>, String> {
        if let Some(why) = &self.broken {
            return Err(why.clone());
        }
        self.connection.as_mut().ok_or_else(|| "EOF".to_owned())
    }

    /// Reads the text of one answer. `wanted` may be the first digits of a code.
    fn answer(&mut self, wanted: u16) -> Result<String, String> {
        let mut text = Vec::new();
        let code = loop {
            let line = self.line()?;
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let code = code.ok_or_else(|| format!("malformed MIME header line: {line}"))?;
            text.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') || text.len() >= LINES_MAX {
                break code;
            }
        };
        let text = text.join("\n");
        if code.to_string().starts_with(&wanted.to_string()) {
            Ok(text)
        } else {
            Err(format!("{code:03} {text}"))
        }
    }

    fn line(&mut self) -> Result<String, String> {
        let connection = self.working()?;
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < LINE_MAX {
            match connection.read(&mut byte) {
                Ok(0) => return Err("EOF".to_owned()),
                Ok(_) if byte[0] == b'\n' => break,
                Ok(_) => line.push(byte[0]),
                Err(error) => return Err(words(&error)),
            }
        }
        let line = String::from_utf8_lossy(&line);
        Ok(line.trim_end_matches('\r').to_owned())
    }
}

/// Connects within the limit. Each read has the same limit until the caller lifts it.
fn dial(address: &str, limit: Duration) -> Result<TcpStream, String> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let number = if port.is_empty() {
        Ok(0)
    } else {
        port.parse::<u16>()
    };
    let number = number.map_err(|_| format!("dial tcp: lookup tcp/{port}: unknown port"))?;
    let found = (host, number).to_socket_addrs();
    let found = found.map_err(|_| format!("dial tcp: lookup {host}: no such host"))?;
    let mut last = format!("dial tcp: lookup {host}: no such host");
    for place in found {
        let connected = TcpStream::connect_timeout(&place, limit.max(Duration::from_millis(1)));
        match connected.and_then(|it| it.set_read_timeout(Some(limit)).map(|()| it)) {
            Ok(stream) => return Ok(stream),
            Err(error) if timed_out(&error) => last = format!("dial tcp {place}: i/o timeout"),
            Err(error) => last = format!("dial tcp {place}: connect: {}", words(&error)),
        }
    }
    Err(last)
}

fn timed_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

/// The error in Go's words.
fn words(error: &std::io::Error) -> String {
    if timed_out(error) {
        return "context deadline exceeded".to_owned();
    }
    if error.kind() == ErrorKind::UnexpectedEof {
        return "EOF".to_owned();
    }
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    words.to_lowercase()
}

/// Base64 of RFC 4648, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            let letter = ALPHABET[((bits >> (18 - 6 * place)) & 63) as usize];
            text.push(if place <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
