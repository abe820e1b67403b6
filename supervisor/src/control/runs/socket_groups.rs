//! Keeps the control socket open to the groups of the plan, and to no others, also when its file
//! has been made again.
//!
//! One task, so that what a plan says is never overtaken by an older one. Names are looked up and
//! the file is changed on a blocking thread. While descriptors that clients have sent cannot be
//! closed ([`peer_stream::UNCLOSED_MAX`]), the socket is its owner's alone: who sends more of them
//! could use up this process's descriptors, and so lock root out.

use std::path::PathBuf;

use tokio::{sync::watch, task::spawn_blocking};

use crate::{
    accounts, peer_stream,
    server::{self, Access},
};

/// What the task works on.
pub(in crate::control) struct SocketGroups {
    /// The socket.
    pub(in crate::control) socket: PathBuf,
    /// Changes when the socket's file is another one.
    pub(in crate::control) reopened: watch::Receiver<()>,
    /// The groups that the plan names.
    pub(in crate::control) plan: watch::Receiver<plan::ControlAccess>,
    /// Descriptors that clients have sent and that are not closed yet.
    pub(in crate::control) unclosed: watch::Receiver<usize>,
    /// Who may do what, for the server.
    pub(in crate::control) access: watch::Sender<Access>,
}

/// The groups of a plan, as numbers.
#[derive(Clone, Default)]
struct Gids {
    admins: Vec<u32>,
    viewers: Vec<u32>,
}

impl SocketGroups {
    /// Follows the plan until no other can come.
    pub(in crate::control) async fn follow(mut self) {
        let mut gids = self.look_up().await;
        let mut shut = false;
        loop {
            self.apply(&gids, shut).await;
            tokio::select! {
                changed = self.plan.changed() => match changed {
                    Ok(()) => gids = self.look_up().await,
                    Err(_) => return,
                },
                Ok(()) = self.reopened.changed() => {}
                () = turned(&mut self.unclosed, shut) => {
                    shut = !shut;
                    say(shut);
                }
            }
        }
    }

    async fn look_up(&mut self) -> Gids {
        let wanted = self.plan.borrow_and_update().clone();
        let found = spawn_blocking(move || {
            let gids = |it: Option<String>| accounts::group_ids(it.as_slice());
            Gids {
                admins: gids(wanted.admin_group),
                viewers: gids(wanted.viewer_group),
            }
        });
        found.await.unwrap_or_default()
    }

    /// Roles first, then the way in: nobody who comes by a group is taken for a stranger.
    async fn apply(&self, gids: &Gids, shut: bool) {
        self.access.send_modify(|access| {
            access.admin_gids.clone_from(&gids.admins);
            access.viewer_gids.clone_from(&gids.viewers);
            access.known = true;
        });
        let mut groups = if shut {
            Vec::new()
        } else {
            gids.admins.clone()
        };
        for &gid in gids.viewers.iter().filter(|_| !shut) {
            if !groups.contains(&gid) {
                groups.push(gid);
            }
        }
        let socket = self.socket.clone();
        let opened = spawn_blocking(move || {
            if let Err(why) = server::open_to(&socket, &groups) {
                let path = socket.display();
                tracing::warn!("cannot open the control socket {path} to its groups: {why}");
            }
        });
        let _ = opened.await.is_ok();
    }
}

/// Returns once the socket has to be shut, or may be opened again.
async fn turned(unclosed: &mut watch::Receiver<usize>, shut: bool) {
    let turns = |&count: &usize| {
        if shut {
            count == 0
        } else {
            count >= peer_stream::UNCLOSED_MAX
        }
    };
    if unclosed.wait_for(turns).await.is_err() {
        // The server has gone, and with it all clients.
        std::future::pending::<()>().await;
    }
}

fn say(shut: bool) {
    if shut {
        tracing::error!(
            "descriptors that clients have sent cannot be closed: the control socket is open to its \
             owner alone until they are; the warnings before name who sent them"
        );
    } else {
        tracing::info!("the control socket is open to its groups again");
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, path::Path, time::Duration};

    use nix::unistd::getegid;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn mode(socket: &Path) -> u32 {
        std::fs::metadata(socket).unwrap().permissions().mode() & 0o777
    }

    /// Waits until the file has this mode.
    async fn until(socket: &Path, wanted: u32) {
        let comes = async {
            while mode(socket) != wanted {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, comes).await.unwrap();
    }

    #[tokio::test]
    async fn the_socket_follows_the_plan_and_is_shut_while_descriptors_cannot_be_closed() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (plan, plans) = watch::channel(plan::ControlAccess::default());
        let (unclosed, counts) = watch::channel(0);
        let (reopened, files) = watch::channel(());
        let (access, mut seen) = watch::channel(Access::default());
        let groups = SocketGroups {
            socket: socket.clone(),
            reopened: files,
            plan: plans,
            unclosed: counts,
            access,
        };
        let task = tokio::spawn(groups.follow());
        let gid = getegid().as_raw();
        plan.send_modify(|it| it.admin_group = Some(gid.to_string()));
        seen.wait_for(|it| it.known && it.admin_gids == [gid])
            .await
            .unwrap();
        until(&socket, 0o660).await;
        std::fs::remove_file(&socket).unwrap();
        let _another = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).unwrap();
        reopened.send_replace(());
        until(&socket, 0o660).await;
        unclosed.send_replace(peer_stream::UNCLOSED_MAX);
        until(&socket, 0o600).await;
        assert_eq!(seen.borrow().admin_gids, [gid], "roles stay");
        unclosed.send_replace(1);
        unclosed.send_replace(0);
        until(&socket, 0o660).await;
        plan.send_replace(plan::ControlAccess::default());
        until(&socket, 0o600).await;
        drop(plan);
        task.await.unwrap();
    }
}
