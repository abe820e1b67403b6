//! `ctl gitlab vhost`: Mattermost's virtual host for GitLab's nginx, which holds the ports. The
//! text comes from the template and the settings of Mattermost's own nginx.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    io::{self, Write},
    path::Path,
};

use client::{
    Context, Error, Format, Kind,
    render::{BOLD, YELLOW, json, styled},
};
use plan::{Options, RealHost};
use safe_path::Dir;

use super::{
    input::VhostTo,
    local_config::{self, options},
};

/// Service of the catalogue whose settings and template the virtual host uses.
const PROXY: &str = "nginx";
const TEMPLATE: &str = "nginx/vhost.conf.j2";
/// Start of each file that this command writes; a file that starts otherwise is never overwritten.
const FIRST_LINE: &str = "# Written by `ctl gitlab vhost`";
/// Largest existing file that is compared with the new text.
const VHOST_BYTES_MAX: u64 = 16 << 20;
/// Template of the certificate and key that the virtual host names; empty without TLS.
const CERTIFICATES: &str = "{% if tls %}\
     {{ ssl_certificate }}\n{{ ssl_certificate_key }}{% endif %}";

/// Writes the virtual host and prints what to do with the file.
pub(crate) fn run(context: &Context, to: &VhostTo) -> Result<u8, Error> {
    let options = options(context)?;
    let plan =
        plan::load(&RealHost, &options).map_err(|problems| local_config::wrong(&problems))?;
    let text = render(&options, to)?;
    let mut remarks = missing(&options)?;
    let Some(output) = &to.output else {
        context.print(&text)?;
        let hint = "put it into a file with -o FILE, which says how GitLab's nginx takes it in";
        for remark in remarks.iter().map(String::as_str).chain([hint]) {
            context.output.borrow_mut().note(&format!("note: {remark}"));
        }
        return Ok(0);
    };
    let path = std::path::absolute(output).map_err(|error| failed(output, &error))?;
    let (dir, name) = Dir::place(&path).map_err(|error| failed(&path, &error))?;
    let path = dir.path().join(&name);
    let changed = write(&dir, &name, &text)?;
    if path
        .to_str()
        .is_none_or(|it| it.contains(['"', '\'', ';', ' ', '{', '}']))
    {
        remarks.push("its path has letters that nginx and Ruby must be told with care".to_owned());
    }
    let own_runs = plan.services.get(PROXY).is_some_and(|it| it.enabled);
    let line = format!(
        "nginx['custom_nginx_config'] = \"include {};\"",
        path.display()
    );
    if context.format == Format::Json {
        let value = serde_json::json!({
            "file": path, "written": changed, "gitlab_rb": [line], "remarks": remarks,
            "mattermost_nginx_enabled": own_runs,
        });
        context.print(&json::value(&value, context.terminal())?)?;
        return Ok(0);
    }
    let first = own_runs.then(|| plan.paths.site_file());
    context.print(&said(&path, changed, first.as_deref(), &line, &remarks))?;
    Ok(0)
}

fn render(options: &Options, to: &VhostTo) -> Result<String, Error> {
    let (nginx, log) = (
        to.nginx.display().to_string(),
        to.access_log.display().to_string(),
    );
    let instead = [
        ("nginx_binary", nginx.as_str()),
        ("access_log", log.as_str()),
        // GitLab's nginx starts as root, and reads the keys where they are.
        ("tls_dir", ""),
        // The supervisor asks only its own nginx what users are told.
        ("asked_socket", ""),
    ];
    plan::render_template(&RealHost, options, PROXY, TEMPLATE, &instead)
        .map_err(|problems| local_config::wrong(&problems))
}

/// Remarks on certificate files that the virtual host names and that are missing: nginx would
/// not start.
fn missing(options: &Options) -> Result<Vec<String>, Error> {
    let named = plan::render_text(&RealHost, options, PROXY, CERTIFICATES)
        .map_err(|problems| local_config::wrong(&problems))?;
    let gone = named.lines().filter(|path| !Path::new(path).exists());
    Ok(gone
        .map(|path| format!("{path} is not there yet; nginx refuses the virtual host without it"))
        .collect())
}

/// Writes the file if the text differs, and returns whether it was written.
fn write(dir: &Dir, name: &OsStr, text: &str) -> Result<bool, Error> {
    let path = &dir.path().join(name);
    match dir.read(name, VHOST_BYTES_MAX) {
        Ok(old) if old == text.as_bytes() => return Ok(false),
        Ok(old) if !old.is_empty() && !old.starts_with(FIRST_LINE.as_bytes()) => {
            let message = format!("{} is another file already", path.display());
            return Err(Error::new(Kind::Failed, message)
                .hint("nothing was written; choose another name, or remove it first"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(path, &error)),
    }
    whole(dir, name, text).map_err(|error| failed(path, &error))?;
    Ok(true)
}

/// Replaces the file by a rename: at every moment the old file or the new one is whole.
fn whole(dir: &Dir, name: &OsStr, text: &str) -> io::Result<()> {
    let beside = format!(".{}.{}.new", name.display(), std::process::id());
    let mut file = dir.create(&beside, 0o644)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| dir.rename(&beside, name));
    if written.is_err() {
        let _ = dir.remove(&beside);
    }
    written
}

fn failed(path: &Path, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => Kind::NotAllowed,
        _ => Kind::Failed,
    };
    Error::new(kind, format!("cannot write {}: {error}", path.display()))
        .hint("choose a place that nginx reads, such as -o /etc/gitlab/mattermost-nginx.conf")
}

/// The report. `site`: the site file, if Mattermost's own nginx is still enabled in it.
fn said(path: &Path, changed: bool, site: Option<&Path>, line: &str, remarks: &[String]) -> String {
    let path = path.display();
    let mut text = if changed {
        format!("wrote {path}\n")
    } else {
        format!("{path} is as it should be; nothing was written\n")
    };
    let mut step = |what: &str, line: &str| {
        let _ = writeln!(text, "\n{}\n  {line}", styled(BOLD, what));
    };
    if let Some(site) = site {
        let site = site.display();
        step(
            &format!("here, in {site}, so that both do not want the same ports:"),
            "mattermost_nginx.enable = false",
        );
        step("then:", "ctl reconfigure");
    }
    step("in /etc/gitlab/gitlab.rb:", line);
    step("then:", "gitlab-ctl reconfigure");
    step(
        "when this file alone has changed later:",
        "gitlab-ctl hup nginx",
    );
    for remark in remarks {
        let _ = writeln!(text, "\n{} {remark}", styled(YELLOW, "note:"));
    }
    text
}
