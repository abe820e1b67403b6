//! Effects of a new plan on running services (peers' behaviour 39: unchanged services keep their
//! process).

use super::Machine;
use std::path::Path;

use crate::{Change, PlanImpact, add_owner_changes, changes};

const WEB: &str = "command = ['/bin/web']\nuser = 'www'\n[env]\nA = '1'\n[reload]\nsignal = 'HUP'\n\
    [[files]]\npath = '/run/web.conf'\ncontent = 'one'\non_change = 'reload'\n";

fn change(old: &str, new: &str) -> Change {
    let plan = |text: &str| Machine::new().shipped("web", text).plan();
    changes(&plan(old), &plan(new)).remove("web").unwrap()
}

fn edited(from: &str, to: &str) -> (PlanImpact, Vec<String>) {
    assert!(WEB.contains(from), "{from}");
    let change = change(WEB, &WEB.replace(from, to));
    (change.impact, change.reasons)
}

fn reason(kind: PlanImpact, reason: &str) -> (PlanImpact, Vec<String>) {
    (kind, vec![reason.to_owned()])
}

#[test]
fn what_did_not_change_is_kept() {
    assert_eq!(edited("'1'", "'1'"), (PlanImpact::Keep, vec![]));
}

#[test]
fn each_difference_has_its_weight_and_its_reason() {
    use PlanImpact::{InPlace, Reload, Restart};
    assert_eq!(edited("'1'", "'2'"), reason(Restart, "env A changed"));
    assert_eq!(edited("A = '1'", ""), reason(Restart, "env A removed"));
    assert_eq!(
        edited("A = '1'", "A = '1'\nB = '2'"),
        reason(Restart, "env B added")
    );
    assert_eq!(
        edited("/bin/web", "/bin/web2"),
        reason(Restart, "command changed")
    );
    assert_eq!(edited("'www'", "'web'"), reason(Restart, "user changed"));
    assert_eq!(
        edited("'one'", "'two'"),
        reason(Reload, "file /run/web.conf changed")
    );
    assert_eq!(
        edited("[env]", "[stop]\ntimeout = '5s'\n[env]"),
        reason(InPlace, "stop changed")
    );
    assert_eq!(
        edited("[env]", "[restart]\npolicy = 'never'\n[env]"),
        reason(InPlace, "restart policy changed")
    );
    assert_eq!(
        edited("[env]", "[log]\nkeep = 3\n[env]"),
        reason(InPlace, "log changed")
    );
    assert_eq!(
        edited("[env]", "[limits]\nnofile = 9\n[env]"),
        reason(Restart, "limits changed")
    );
}

#[test]
fn a_file_reloads_only_what_can_reload() {
    let without = WEB.replace("[reload]\nsignal = 'HUP'\n", "");
    assert_eq!(
        change(&without, &without.replace("'one'", "'two'")).impact,
        PlanImpact::Restart
    );
    let nothing = WEB.replace("'reload'", "'nothing'");
    assert_eq!(
        change(&nothing, &nothing.replace("'one'", "'two'")).impact,
        PlanImpact::InPlace
    );
}

#[test]
fn services_come_and_go() {
    let mut old = Machine::new();
    old.shipped("web", WEB).shipped("gone", WEB);
    let mut new = Machine::new();
    new.shipped("web", &format!("enable = false\n{WEB}"))
        .shipped("come", WEB);
    let found = changes(&old.plan(), &new.plan());
    let kinds: Vec<(&str, PlanImpact)> =
        found.iter().map(|(n, c)| (n.as_str(), c.impact)).collect();
    assert_eq!(
        kinds,
        [
            ("come", PlanImpact::Start),
            ("gone", PlanImpact::Stop),
            ("web", PlanImpact::Stop)
        ]
    );
    assert_eq!(found["web"].reasons, ["disabled"]);
    assert_eq!(found["gone"].reasons, ["removed"]);
}

#[test]
fn a_secret_is_never_in_a_reason() {
    let service = "command = ['/bin/web']\n[settings]\nkey = { secret = true, env = 'KEY' }\n";
    let plan = |value: &str| {
        Machine::new()
            .shipped("web", service)
            .secrets(&format!("web.key = '{value}'\n"))
            .plan()
    };
    let found = changes(&plan("hush1"), &plan("hush2"));
    assert_eq!(found["web"].impact, PlanImpact::Restart);
    assert_eq!(found["web"].reasons, ["env KEY changed"]);
}

/// A reloading program binds its new addresses while it still has the old ones.
#[test]
fn an_address_that_overlaps_one_that_is_given_up_takes_a_restart() {
    let listening = |on: &str| {
        let file = WEB.replace("'one'", &format!("'{}'", on.replace('\'', "")));
        change(
            &WEB.replace("user =", "listens = ['0.0.0.0:80']\nuser ="),
            &file.replace("user =", &format!("listens = [{on}]\nuser =")),
        )
    };
    for on in ["'127.0.0.1:80'", "'[::]:80'"] {
        let found = listening(on);
        assert_eq!(found.impact, PlanImpact::Restart, "{on}");
        let why = format!(
            "it has {} only once it has let go of 0.0.0.0:80",
            on.replace('\'', "")
        );
        assert!(found.reasons.contains(&why), "{:?}", found.reasons);
    }
    for on in ["'0.0.0.0:80', '[::]:80'", "'127.0.0.1:81'", ""] {
        assert_eq!(listening(on).impact, PlanImpact::Reload, "{on}");
    }
}

/// The service that is to get the address waits only for the end of the other service's run.
#[test]
fn an_address_that_goes_from_one_service_to_another_takes_restarts_of_both() {
    let service = |on: u16| {
        let web = WEB.replace("'one'", &format!("'{on}'"));
        web.replace("user =", &format!("listens = ['127.0.0.1:{on}']\nuser ="))
    };
    let plan = |a: u16, b: u16| {
        Machine::new()
            .shipped("a", &service(a))
            .shipped("b", &service(b))
            .plan()
    };
    let found = changes(&plan(80, 81), &plan(82, 80));
    assert_eq!(
        (found["a"].impact, found["b"].impact),
        (PlanImpact::Restart, PlanImpact::Restart)
    );
    assert!(
        found["a"]
            .reasons
            .contains(&"127.0.0.1:80 goes from it to b".to_owned()),
        "{found:?}"
    );
    assert!(
        found["b"]
            .reasons
            .contains(&"127.0.0.1:80 comes to it from a".to_owned()),
        "{found:?}"
    );
    let found = changes(&plan(80, 81), &plan(82, 83));
    assert_eq!(
        (found["a"].impact, found["b"].impact),
        (PlanImpact::Reload, PlanImpact::Reload)
    );
}

/// A directory whose owner changes restarts the service that has the directory, and no other.
#[test]
fn a_directory_that_changes_hands_restarts_its_service() {
    let text = "command = ['/bin/web']\n[[directories]]\npath = '/srv/web'\nrecursive = true\n";
    let plan = |enabled: &str| {
        let text = format!("enable = {enabled}\n{text}");
        Machine::new().shipped("web", &text).plan()
    };
    let (up, down) = (plan("true"), plan("false"));
    assert!(up.services["web"].directories[0].recursive);
    let changed = |old, new| {
        let mut changes = changes(old, new);
        let directories = [("web", Path::new("/srv/web")), ("other", Path::new("/"))];
        add_owner_changes(&mut changes, directories.into_iter());
        let change = changes.remove("web").unwrap();
        (change.impact, change.reasons)
    };
    let why = "owner of directory /srv/web changes";
    assert_eq!(changed(&up, &up), reason(PlanImpact::Restart, why));
    assert_eq!(changed(&down, &up), reason(PlanImpact::Start, "enabled"));
    assert_eq!(changed(&up, &down), reason(PlanImpact::Stop, "disabled"));
}
