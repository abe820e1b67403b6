//! `ctl version`: the version of ctl, and that of the supervisor if it can be reached.

use api::StatusReply;
use client::{
    Context, Error, Format,
    render::{json, shown},
};

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  ctl version
  ctl version --format json";

const OURS: &str = env!("CARGO_PKG_VERSION");

/// Prints both versions; a missing supervisor is no failure.
pub(crate) async fn run(context: &Context) -> Result<u8, Error> {
    let theirs = context.client.get::<StatusReply>("/v1/services").await;
    let text = match (context.format, &theirs) {
        (Format::Json, _) => {
            let theirs = theirs.as_ref().ok().map(|reply| &reply.supervisor);
            let all = serde_json::json!({
                "ctl": OURS,
                "supervisor": theirs.map(|it| &it.version),
                "keeper": theirs.map(|it| &it.keeper_version),
            });
            json::value(&all, context.terminal())?
        }
        (_, Ok(reply)) => {
            let supervisor = &reply.supervisor;
            let (version, pid) = (shown(&supervisor.version), supervisor.pid);
            let (keeper, keeper_pid) = (shown(&supervisor.keeper_version), supervisor.keeper_pid);
            format!(
                "ctl {OURS}\nsupervisor {version} (pid {pid})\nkeeper {keeper} (pid {keeper_pid})\n"
            )
        }
        (_, Err(error)) => format!("ctl {OURS}\nsupervisor: {}\n", shown(&error.message)),
    };
    context.print(&text)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Fake, ctl, supervisor};

    #[test]
    fn both_versions_are_shown_and_the_supervisor_may_be_absent() {
        let reply = StatusReply {
            supervisor: supervisor(),
            services: Vec::new(),
        };
        let fake = Fake::new(vec![Answer::Whole(
            200,
            serde_json::to_string(&reply).unwrap(),
        )]);
        assert_eq!(
            fake.ctl("version").out,
            format!("ctl {OURS}\nsupervisor 0.1.0 (pid 101)\nkeeper 0.1.0 (pid 100)\n")
        );
        let ran = ctl("ctl --root /nonexistent version");
        assert_eq!(ran.code, 0);
        assert!(
            ran.out
                .contains("supervisor: the supervisor is not running"),
            "{}",
            ran.out
        );
    }
}
