//! `--format runit`: the lines of gitlab-ctl, for the monitors that parse them.

use mattervisor_tests::Site;

/// The text with N for each number, since pids and times differ from run to run.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        if !character.is_ascii_digit() {
            plain.push(character);
        } else if !plain.ends_with('N') {
            plain.push('N');
        }
    }
    plain
}

#[track_caller]
fn says(site: &Site, line: &str, code: i32, expected: &str) {
    let mut arguments: Vec<&str> = line.split(' ').collect();
    arguments.extend(["--format", "runit"]);
    let told = site.ctl(&arguments);
    assert_eq!(plain(&told.stdout), expected, "{line}: {told:#?}");
    assert_eq!(told.code, code, "{line}: {told:#?}");
}

/// The commands of gitlab-ctl print exactly its lines.
#[test]
fn the_lines_are_those_of_gitlab_ctl() {
    let mut site = Site::new();
    site.child("mm", &["sleep"], "");
    site.child("web", &["sleep"], "");
    site.child("off", &["sleep"], "enable = false");
    site.start_ready();
    says(
        &site,
        "status",
        0,
        "run: mm: (pid N) Ns; run: log: (pid N) Ns\nrun: web: (pid N) Ns; run: log: (pid N) Ns\n",
    );
    says(
        &site,
        "status mm",
        0,
        "run: mm: (pid N) Ns; run: log: (pid N) Ns\n",
    );
    says(&site, "service-list", 0, "mm*\noff\nweb*\n");
    says(&site, "stop mm", 0, "ok: down: mm: Ns, normally up\n");
    says(
        &site,
        "status mm",
        3,
        "down: mm: Ns, normally up; run: log: (pid N) Ns\n",
    );
    says(&site, "start mm", 0, "ok: run: mm: (pid N) Ns\n");
    says(
        &site,
        "restart",
        0,
        "ok: run: mm: (pid N) Ns\nok: run: web: (pid N) Ns\n",
    );
    says(&site, "hup web", 0, "");
    says(&site, "stop web", 0, "ok: down: web: Ns, normally up\n");
    says(&site, "once web", 0, "");
    says(
        &site,
        "restart-except mm",
        0,
        "Restarting all services except: mm.\nok: run: web: (pid N) Ns\n",
    );
    says(
        &site,
        "stop-except w* off",
        0,
        "Stopping all services except: w*, off.\nok: down: mm: Ns, normally up\n",
    );
    says(
        &site,
        "stop-except nobody",
        4,
        "Stopping all services except: nobody.\n",
    );
    says(&site, "reconfigure", 0, "gitlab Reconfigured!\n");
    says(
        &site,
        "status ghost",
        4,
        "fail: ghost: unable to change to service directory: file does not exist\n",
    );
    assert_eq!(site.stop(), 0);
    says(
        &site,
        "status mm web",
        5,
        "fail: mm: runsv not running\nfail: web: runsv not running\n",
    );
}

/// A pattern leaves out disabled services. A disabled service that is named, or is all that a
/// pattern matches, is refused.
#[test]
fn patterns_leave_out_what_is_disabled() {
    let mut site = Site::new();
    site.child("a-1", &["sleep"], "");
    site.child("a-2", &["sleep"], "");
    site.child("a-3", &["sleep"], "enable = false");
    site.child("b", &["sleep"], "");
    site.start_ready();
    let lines = "ok: down: a-N: Ns, normally up\nok: down: a-N: Ns, normally up\n";
    says(&site, "stop a-*", 0, lines);
    says(&site, "start a-[12] b", 0, {
        "ok: run: a-N: (pid N) Ns\nok: run: a-N: (pid N) Ns\nok: run: b: (pid N) Ns\n"
    });
    let told = site.ctl(&["stop", "a-3"]).expect_code(1);
    assert!(told.stderr.contains("a-3 is disabled"), "{told:#?}");
    let told = site.ctl(&["stop", "a-3*"]).expect_code(1);
    assert!(told.stderr.contains("a-3 is disabled"), "{told:#?}");
    site.ctl(&["stop", "x*"]).expect_code(4);
    site.ctl(&["stop-except", "*"]).expect_code(2);
}
