//! The way of the archive's bytes to the disk: a thread compresses, sums and writes them, while the
//! next ones are read.

use std::{
    fs::File,
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use sha2::{Digest, Sha256};

use super::trailer;

/// zstd's level: the one that is about as fast as a disk.
const LEVEL: i32 = 3;
/// Blocks that may wait for the thread: enough that neither end often waits for its turn on a busy machine.
/// None is longer than a piece of the dump.
const WAITING_MAX: usize = 16;

enum Step {
    Bytes(Vec<u8>),
    /// What follows can be read without what came before.
    NewFrame,
}

/// The near end.
pub(super) struct Output {
    steps: Option<SyncSender<Step>>,
    /// Blocks that were written, to be filled again.
    spare: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<io::Result<Sums>>>,
}

/// What has become of all that was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    /// SHA-256 of the file but for its trailer.
    pub(super) sum: [u8; 32],
    /// Length of the file, trailer included.
    pub(super) bytes: u64,
}

impl Output {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let (steps, received) = sync_channel(WAITING_MAX);
        let (written, spare) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("compress".into())
            .spawn(move || run(file, &received, &written))?;
        Ok(Self {
            steps: Some(steps),
            spare,
            thread: Some(thread),
        })
    }

    /// An empty block.
    pub(super) fn buffer(&self, capacity: usize) -> Vec<u8> {
        let spare = self.spare.try_recv().ok();
        let mut buffer = spare.unwrap_or_default();
        buffer.clear();
        buffer.reserve(capacity);
        buffer
    }

    pub(super) fn bytes(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.step(Step::Bytes(bytes))
    }

    pub(super) fn new_frame(&mut self) -> io::Result<()> {
        self.step(Step::NewFrame)
    }

    fn step(&mut self, step: Step) -> io::Result<()> {
        let sent = self.steps.as_ref().map(|steps| steps.send(step));
        match sent {
            Some(Ok(())) => Ok(()),
            // The thread has ended, and knows why.
            _ => Err(self.end().err().unwrap_or_else(ended)),
        }
    }

    /// Waits until all is on the disk.
    pub(super) fn finish(mut self) -> io::Result<Sums> {
        self.end()
    }

    fn end(&mut self) -> io::Result<Sums> {
        drop(self.steps.take());
        let thread = self.thread.take().ok_or_else(ended)?;
        thread.join().map_err(|_| ended())?
    }
}

impl Drop for Output {
    /// Nobody writes to the file any more when this is gone.
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn ended() -> io::Error {
    io::Error::other("the archive was ended already")
}

fn run(file: File, steps: &Receiver<Step>, written: &SyncSender<Vec<u8>>) -> io::Result<Sums> {
    let mut encoder = encoder(Summed::new(file))?;
    while let Ok(step) = steps.recv() {
        match step {
            Step::Bytes(bytes) => {
                encoder.write_all(&bytes)?;
                // Where nobody wants it back it is freed.
                let _ = written.try_send(bytes);
            }
            Step::NewFrame => encoder = self::encoder(encoder.finish()?)?,
        }
    }
    let Summed {
        mut file,
        sum,
        bytes,
    } = encoder.finish()?;
    let sum: [u8; 32] = sum.finalize().into();
    file.write_all(&trailer::of(&sum))?;
    file.sync_all()?;
    Ok(Sums {
        sum,
        bytes: bytes + trailer::BYTES as u64,
    })
}

fn encoder(out: Summed) -> io::Result<zstd::Encoder<'static, Summed>> {
    let mut encoder = zstd::Encoder::new(out, LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

struct Summed {
    file: File,
    sum: Sha256,
    bytes: u64,
}

impl Summed {
    fn new(file: File) -> Self {
        Self {
            file,
            sum: Sha256::new(),
            bytes: 0,
        }
    }
}

impl Write for Summed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.sum.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
