//! A program on a terminal, and the screen that a person would see there.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZero,
    os::fd::OwnedFd,
    process::{Child, Command},
    sync::{Arc, Mutex},
};

use nix::{
    pty::{Winsize, openpty},
    sys::termios::{LocalFlags, tcgetattr},
};

use crate::{processes, wait};

const ROWS: NonZero<u16> = NonZero::new(24).expect("not zero");
const COLUMNS: NonZero<u16> = NonZero::new(80).expect("not zero");

/// A terminal of 80 columns and 24 rows with a program on it. Dropping the value kills the program.
pub struct Pty {
    child: Child,
    master: File,
    /// Kept open, so that the screen can be read after the program has ended.
    slave: OwnedFd,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Pty {
    /// Starts a program on a terminal of its own.
    pub fn start(command: &mut Command) -> Self {
        let size = Winsize {
            ws_row: ROWS.get(),
            ws_col: COLUMNS.get(),
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).expect("a terminal can be had");
        let slave = || pty.slave.try_clone().expect("a descriptor can be had");
        command.stdin(slave()).stdout(slave()).stderr(slave());
        command.env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        let child = processes::spawn(command);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let master = File::from(pty.master);
        let mut reader = master.try_clone().expect("a descriptor can be had");
        let seen = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if let Ok(mut screen) = seen.lock() {
                    screen.process(&bytes[..count]);
                }
            }
        });
        Self {
            child,
            master,
            slave: pty.slave,
            screen,
        }
    }

    /// Pid of the program.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("pids are positive")
    }

    /// Sends these keys to the program.
    pub fn send(&mut self, keys: &str) {
        let sent = self.master.write_all(keys.as_bytes());
        sent.expect("a terminal takes keys");
    }

    /// The text on the screen.
    pub fn screen(&self) -> String {
        let screen = self.screen.lock().expect("nobody panics with it");
        screen.screen().contents()
    }

    /// Whether the program has the screen to itself, has hidden the cursor, or gets every key
    /// unedited or unechoed.
    pub fn is_taken(&self) -> bool {
        let screen = self.screen.lock().expect("nobody panics with it");
        let modes = tcgetattr(&self.slave).expect("it is a terminal");
        let raw = !modes
            .local_flags
            .contains(LocalFlags::ICANON | LocalFlags::ECHO);
        raw || screen.screen().alternate_screen() || screen.screen().hide_cursor()
    }

    /// Waits until the screen shows what is wanted.
    #[track_caller]
    pub fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let found = wait::within(wait::LIMIT, || {
            let screen = self.screen();
            wanted(&screen).then_some(screen)
        });
        found.unwrap_or_else(|| panic!("{what}: not on the screen:\n{}", self.screen()))
    }

    /// Waits for the end of the program; returns its exit code.
    #[track_caller]
    pub fn finish(&mut self) -> Option<i32> {
        let child = &mut self.child;
        let status = wait::within(wait::LIMIT, || child.try_wait().ok().flatten());
        let Some(status) = status else {
            panic!("it has not ended; its screen:\n{}", self.screen());
        };
        status.code()
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
