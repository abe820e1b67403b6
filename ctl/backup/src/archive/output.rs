//! Writes the archive's bytes to the disk: one thread compresses blocks, another hashes and writes
//! the compressed blocks, and meanwhile the caller reads the next ones. Compression takes longest,
//! so its thread does nothing else.

use std::{
    fs::File,
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use sha2::{Digest, Sha256};

use super::trailer;

/// zstd's level: the highest that is about as fast as a disk.
const LEVEL: i32 = 3;
/// Blocks that may wait for a thread: enough that neither end often waits for the other, and few
/// megabytes, because no block is longer than a piece of the dump.
const WAITING_MAX: usize = 4;

enum Step {
    Bytes(Vec<u8>),
    /// Starts a new zstd frame, which can be read without the frames before it.
    NewFrame,
}

/// The caller's end of the two threads.
pub(super) struct Output {
    steps: Option<SyncSender<Step>>,
    /// Written blocks that come back to be filled again.
    spare: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<io::Result<Sums>>>,
}

/// Checksum and length of the finished file.
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

    /// An empty block: a spare one, or a new one.
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
            // The thread has ended; its result holds the reason.
            _ => Err(self.end().err().unwrap_or_else(ended)),
        }
    }

    /// Waits until all blocks are on the disk.
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
    /// Joins the threads, so that nothing writes to the file after the drop.
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn ended() -> io::Error {
    io::Error::other("the archive was ended already")
}

fn run(file: File, steps: &Receiver<Step>, written: &SyncSender<Vec<u8>>) -> io::Result<Sums> {
    let (blocks, received) = sync_channel(WAITING_MAX);
    let disk = std::thread::Builder::new()
        .name("write".into())
        .spawn(move || Summed::write(file, &received))?;
    let compressed = compress(Blocks(blocks), steps, written);
    // The disk's error comes first: it is why the compressor could not hand its blocks on.
    let Summed {
        mut file,
        sum,
        bytes,
    } = disk.join().map_err(|_| ended())??;
    compressed?;
    let sum: [u8; 32] = sum.finalize().into();
    file.write_all(&trailer::of(&sum))?;
    file.sync_all()?;
    Ok(Sums {
        sum,
        bytes: bytes + trailer::BYTES as u64,
    })
}

fn compress(to: Blocks, steps: &Receiver<Step>, written: &SyncSender<Vec<u8>>) -> io::Result<()> {
    let mut encoder = encoder(to)?;
    while let Ok(step) = steps.recv() {
        match step {
            Step::Bytes(bytes) => {
                encoder.write_all(&bytes)?;
                // If the queue of spare blocks is full or closed, the block is freed.
                let _ = written.try_send(bytes);
            }
            Step::NewFrame => encoder = self::encoder(encoder.finish()?)?,
        }
    }
    encoder.finish().map(drop)
}

fn encoder(out: Blocks) -> io::Result<zstd::Encoder<'static, Blocks>> {
    let mut encoder = zstd::Encoder::new(out, LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

/// Passes compressed blocks, each as long as zstd's output buffer, to the thread that writes them.
struct Blocks(SyncSender<Vec<u8>>);

impl Write for Blocks {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.send(buffer.to_vec()).map_err(|_| ended())?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Checksum and length of the bytes that are on the disk.
struct Summed {
    file: File,
    sum: Sha256,
    bytes: u64,
}

impl Summed {
    fn write(mut file: File, blocks: &Receiver<Vec<u8>>) -> io::Result<Self> {
        let (mut sum, mut bytes) = (Sha256::new(), 0);
        while let Ok(block) = blocks.recv() {
            file.write_all(&block)?;
            sum.update(&block);
            bytes += block.len() as u64;
        }
        Ok(Self { file, sum, bytes })
    }
}
