//! `./dev soak`: see `mattervisor_tests::soak`, and `--help`.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Parser, ValueEnum};
use mattervisor_tests::{
    soak::{
        Attack, Report, Row, Scale, campaign,
        restores::{self, Operation, Size, Victim},
    },
    use_binaries_in,
};

/// Kills and faults at random against a running supervisor. Prints what was lost, doubled, split or
/// left; ends with 1 if any promise was broken
#[derive(Debug, Parser)]
#[command(name = "./dev soak", after_help = READING)]
struct Options {
    /// From which all chance comes; else the time
    #[arg(long)]
    seed: Option<u64>,

    /// Everything at random for so long, instead of fixed numbers of each
    #[arg(long, value_name = "N", conflicts_with_all = ["kills_control", "kills_keeper", "kills_both", "faults"])]
    minutes: Option<u32>,

    /// SIGKILL for the control process
    #[arg(long, value_name = "N", default_value_t = 300)]
    kills_control: u32,

    /// SIGKILL for the keeper
    #[arg(long, value_name = "N", default_value_t = 100)]
    kills_keeper: u32,

    /// SIGKILL for both
    #[arg(long, value_name = "N", default_value_t = 100)]
    kills_both: u32,

    /// SIGSTOP of either and of both, a full disk, a removed run directory: so many in all
    #[arg(long, value_name = "N", default_value_t = 25)]
    faults: u32,

    /// Whether the supervisor may use cgroups
    #[arg(long, value_enum, default_value_t = Cgroups::Both)]
    cgroups: Cgroups,

    /// Backups, restores and their undoing instead, struck at each step
    #[arg(long)]
    restores: bool,

    /// Of restores: versions of `PostgreSQL`, separated by commas; else all that are here
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        requires = "restores"
    )]
    versions: Vec<u32>,

    /// Of restores: rows in the table of messages
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000_000,
        requires = "restores"
    )]
    rows: u32,

    /// Of restores: files
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000,
        requires = "restores"
    )]
    files: u32,

    /// Of restores: only every so manieth of the kills, another one with each seed
    #[arg(long, value_name = "N", default_value_t = 1, requires = "restores")]
    every: usize,

    /// Directory of the binaries supervisor, ctl and soakchild; else where this program lies
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,

    /// Few services and clients
    #[arg(long)]
    small: bool,

    /// The report as JSON
    #[arg(long)]
    json: bool,
}

const READING: &str = "\
The table has a row for each attack: how often it was made, and how often each promise was broken \
(broken ones first, in bold), with some figures. \"Missing at marks\" are lines that were on their way \
when the keeper died, where a line of the supervisor's own in the log says that lines may be missing. \
What broke is told below the table. The same seed throws the same again, though not at the same moments.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cgroups {
    Yes,
    No,
    Both,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(directory) = &options.bin {
        use_binaries_in(directory.clone());
    }
    let seed = options.seed.unwrap_or_else(clock_seed);
    eprintln!("soak: seed {seed}");
    let rows = if options.restores {
        restores(&options, seed)
    } else {
        supervisor(&options, seed)
    };
    let report = Report { seed, rows };
    if options.json {
        println!("{:#}", report.json());
    } else {
        println!("{report}");
    }
    ExitCode::from(u8::from(report.is_broken()))
}

/// Rows of the attacks on the supervisor.
fn supervisor(options: &Options, seed: u64) -> Vec<Row> {
    let scale = if options.small {
        Scale::SHORT
    } else {
        Scale::LONG
    };
    let mut rows = Vec::new();
    for cgroups in modes(options.cgroups) {
        for (number, attack) in (0..).zip(attacks(options)) {
            eprintln!("soak: {attack:?}, cgroups: {cgroups}");
            rows.push(campaign(attack, *cgroups, scale, seed.wrapping_add(number)));
        }
    }
    rows
}

/// Rows of the operations on each version: every victim at every step, or one in `every` of these.
fn restores(options: &Options, seed: u64) -> Vec<Row> {
    let size = Size {
        rows: options.rows,
        files: options.files,
    };
    let every = options.every.max(1);
    let first = usize::try_from(seed).unwrap_or(0) % every;
    let mut rows = Vec::new();
    for (major, bin) in restores::versions() {
        if !options.versions.is_empty() && !options.versions.contains(&major) {
            continue;
        }
        for operation in Operation::ALL {
            let steps = operation.steps().iter();
            let all = steps.flat_map(|step| Victim::ALL.map(|victim| (*step, victim)));
            let strikes: Vec<_> = all.skip(first).step_by(every).collect();
            eprintln!(
                "soak: {operation:?} on PostgreSQL {major}: {} kills",
                strikes.len()
            );
            rows.push(restores::campaign(major, &bin, operation, &strikes, size));
        }
    }
    rows
}

fn modes(cgroups: Cgroups) -> &'static [bool] {
    match cgroups {
        Cgroups::Yes => &[true],
        Cgroups::No => &[false],
        Cgroups::Both => &[true, false],
    }
}

fn attacks(options: &Options) -> Vec<Attack> {
    if let Some(minutes) = options.minutes {
        let time = Duration::from_secs(60 * u64::from(minutes));
        return vec![Attack::Mixed(time)];
    }
    let numbered = [
        (
            options.kills_control,
            Attack::KillControl as fn(u32) -> Attack,
        ),
        (options.kills_keeper, Attack::KillKeeper),
        (options.kills_both, Attack::KillBoth),
        (options.faults, Attack::Faults),
    ];
    let wanted = numbered.into_iter().filter(|(count, _)| *count > 0);
    wanted.map(|(count, attack)| attack(count)).collect()
}

fn clock_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| now.as_secs())
}
