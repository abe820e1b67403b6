//! The loss of a control process, and its replacement: at once if it had proven itself, else after
//! a pause, or by the program that worked before (`standing`).

use nix::libc;

use super::{Control, standing::Loss, successor::Retired};
use crate::{
    clock::now_ms, exit_text::exit_text, kit::Kit, message::Request, stderr_log::error, sys::pidfd,
    timers::Timer,
};

impl Control {
    /// Takes a control process out of charge. Requests that it has sent are still to be carried
    /// out: its records count them as done.
    pub(crate) fn lose(&mut self, kit: &Kit, pid: i32, loss: Loss) -> Vec<Request> {
        if loss == Loss::Silent {
            let _ = pidfd::kill(pid, libc::SIGKILL);
        }
        // After reaping, the pid may be another process's, so nobody may signal it.
        self.pid = None;
        let mut requests = self.read(kit);
        while self.has_more() {
            requests.extend(self.read(kit));
        }
        let link = self.link.take();
        if let Some(link) = &link {
            kit.poller.unwatch(link);
        }
        if loss == Loss::Silent {
            // The process still exists in the kernel, and the keeper does not wait for its end.
            self.retired.push(Retired::new(pid, link));
        }
        requests
    }

    /// Arranges for the next control process. `is_hopeless`: none follows one that had not proven
    /// itself; then returns true.
    pub(crate) fn follow(
        &mut self,
        kit: &mut Kit,
        pid: i32,
        loss: Loss,
        is_hopeless: bool,
    ) -> bool {
        self.deaths += 1;
        let how = match loss {
            Loss::Died(exit) => exit_text(exit),
            Loss::Silent => "it was killed".to_owned(),
        };
        let proven = self.standing.is_proven();
        if proven {
            error!("the control process (pid {pid}) has died ({how}); starts another");
            kit.timers.add(now_ms(), Timer::Control);
        } else if !is_hopeless {
            self.follow_early_death(pid, loss, &how);
            self.retry(kit);
        }
        self.standing.begins();
        !proven && is_hopeless
    }

    fn follow_early_death(&mut self, pid: i32, loss: Loss, how: &str) {
        let took_over_at = self.standing.took_over_at();
        if let Some(earlier) = self.standing.lost_early(loss) {
            error!(
                "the control process (pid {pid}) of the program that was installed last does not work ({how}); \
                 goes back to the program that worked before: install one that works, then give the command ctl reexec"
            );
            self.binary = earlier;
            return;
        }
        let pause = self.standing.next_pause();
        match took_over_at {
            None => error!(
                "the control process (pid {pid}) ended before it took over ({how}); next try in {pause:?}"
            ),
            Some(at) => {
                let lived_ms = now_ms() - at;
                error!(
                    "the control process (pid {pid}) has died {lived_ms} ms after it took over ({how}); \
                     next try in {pause:?}"
                );
            }
        }
    }
}
