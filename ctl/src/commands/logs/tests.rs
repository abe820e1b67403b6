//! `ctl logs` and `ctl tail` against a supervisor that answers what a test says.

use super::*;
use crate::testing::{Answer, Fake, ctl, ctl_unread};

fn line(service: &str, second: u32, text: &str) -> LogLine {
    LogLine {
        service: service.into(),
        file: None,
        at: format!("2999-11-22T12:00:{second:02}.000000Z"),
        text: text.into(),
        marker: false,
        cursor: format!("{service}~a.{second:x}.1.2"),
    }
}

fn path_of(command: &str) -> String {
    let fake = Fake::new(vec![Answer::Whole(200, String::new())]);
    let ran = fake.ctl(command);
    assert_eq!(ran.code, 0, "{command}: {}", ran.err);
    let request = fake.requests().remove(0);
    let path = request.strip_prefix("GET /v1/logs?services=");
    path.and_then(|it| it.strip_suffix(" HTTP/1.1"))
        .unwrap_or(&request)
        .to_owned()
}

#[test]
fn one_service_has_no_prefix_and_escapes_are_shown() {
    let text = json::lines(&[line("nginx", 1, "\x1b]0;owned\x07 hello")]).unwrap();
    let fake = Fake::new(vec![Answer::Whole(200, text)]);
    let ran = fake.ctl("logs nginx -n 5");
    assert_eq!(
        ran.out,
        "2999-11-22T12:00:01.000000Z \\x1b]0;owned\\x07 hello\n"
    );
    assert_eq!(
        fake.requests(),
        ["GET /v1/logs?services=nginx&follow=false&lines=5 HTTP/1.1"]
    );
}

#[test]
fn what_is_asked_for_is_sent() {
    for (command, path) in [
        ("logs", "&follow=false&lines=100"),
        ("logs -n all", "&follow=false&since=1970-01-01T00:00:00Z"),
        (
            "logs a b --grep x+|y -i",
            "a,b&follow=false&grep=x%2B%7Cy&ignore_case=true",
        ),
        ("logs -g x -n 7", "&follow=false&grep=x&lines=7"),
        (
            "logs --since 2026-11-22T10:00:00+01:00 --until 2026-11-22T10:00:00Z -n 3",
            "&follow=false&until=2026-11-22T10:00:00Z&lines=3&since=2026-11-22T09:00:00Z",
        ),
        ("logs a --files", "a&follow=false&files=true&lines=100"),
    ] {
        assert_eq!(path_of(command), path, "{command}");
    }
    let since = path_of("logs --since 1h -n all");
    assert!(since.starts_with("&follow=false&since=20"), "{since}");
    assert!(!since.contains("lines="), "{since}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    for command in [
        "logs -f --until today",
        "logs -i",
        "logs -n many",
        "logs --since soon",
        "logs --rotate -f",
    ] {
        let ran = ctl(&format!("ctl --root /nonexistent {command}"));
        assert_eq!(ran.code, 2, "{command}: {}", ran.err);
    }
}

#[test]
fn without_a_supervisor_it_says_where_the_files_are() {
    let ran = ctl("ctl --root /nonexistent logs nginx");
    assert_eq!(ran.code, 5);
    let place = "/nonexistent/var/log/mattervisor/SERVICE/current";
    assert!(ran.err.contains(place), "{}", ran.err);
}

#[test]
fn several_services_and_their_files_are_told_apart() {
    let mut file = line("mattermost", 3, "c");
    file.file = Some("/var/log/mattermost/mattermost.log".into());
    let lines = [line("nginx", 1, "a"), line("mattermost", 2, "b"), file];
    let text = json::lines(&lines).unwrap();
    let ran = Fake::new(vec![Answer::Whole(200, text.clone())]).ctl("logs nginx mattermost");
    assert_eq!(
        ran.out,
        "nginx       2999-11-22T12:00:01.000000Z a\n\
         mattermost  2999-11-22T12:00:02.000000Z b\n\
         mattermost:mattermost.log  2999-11-22T12:00:03.000000Z c\n"
    );
    let fake = Fake::new(vec![Answer::Whole(200, text.clone())]);
    assert_eq!(fake.ctl("logs --format json").out, text);
}

#[test]
fn runit_prints_as_tail_does() {
    let mut file = line("a", 3, "{}");
    file.file = Some("/var/log/a/a.log".into());
    let lines = [line("a", 1, "x"), line("a", 2, "y"), file];
    let text = json::lines(&lines).unwrap();
    let fake = Fake::new(vec![Answer::Whole(200, text)]);
    let root = fake.root().display().to_string();
    assert_eq!(
        fake.ctl("logs --format runit").out,
        format!(
            "==> {root}/var/log/mattervisor/a/current <==\n\
             2999-11-22T12:00:01.000000Z x\n2999-11-22T12:00:02.000000Z y\n\
             \n==> /var/log/a/a.log <==\n{{}}\n"
        )
    );
}

#[test]
fn following_goes_on_behind_the_last_line_that_was_printed() {
    let refused = r#"{"kind":"busy","message":"enough"}"#;
    let mut file = line("web@1", 3, "three");
    file.file = Some("/f".into());
    file.cursor = "web@1~1.2.3.4~/f".into();
    let fake = Fake::new(vec![
        Answer::Cut(json::lines(&[line("a", 1, "one"), line("a", 2, "two"), file]).unwrap()),
        Answer::Whole(200, "{}".into()),
        Answer::Cut(json::lines(&[line("a", 4, "four")]).unwrap()),
        Answer::Whole(200, "{}".into()),
        Answer::Whole(503, refused.into()),
    ]);
    let ran = fake.ctl("logs -f --since 2026-11-22T10:00:00Z");
    assert_eq!(ran.code, 1);
    let texts: Vec<&str> = ran
        .out
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(texts, ["one", "two", "three", "four"]);
    let requests = fake.requests();
    let base = "GET /v1/logs?services=&follow=true&since=2026-11-22T10:00:00Z";
    assert_eq!(requests[0], format!("{base} HTTP/1.1"));
    assert_eq!(
        requests[2],
        format!("{base}&after=a~a.2.1.2,web%401~1.2.3.4~%2Ff HTTP/1.1")
    );
    assert!(
        requests[4].contains("&after=a~a.4.1.2,web"),
        "{}",
        requests[4]
    );
}

#[test]
fn a_supervisor_that_has_just_begun_is_given_time_to_know_its_services() {
    let unknown = r#"{"kind":"unknown-service","message":"no service is named `a`"}"#;
    let up = || Answer::Whole(200, "{}".into());
    let fake = Fake::new(vec![
        Answer::Cut(json::lines(&[line("a", 1, "one")]).unwrap()),
        up(),
        Answer::Whole(404, unknown.into()),
        up(),
        Answer::Cut(json::lines(&[line("a", 2, "two")]).unwrap()),
        up(),
        Answer::Whole(503, r#"{"kind":"busy","message":"enough"}"#.into()),
    ]);
    let ran = fake.ctl("tail a");
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
    let ran = Fake::new(vec![Answer::Whole(404, unknown.into())]).ctl("tail a");
    assert_eq!(ran.code, 4, "at first it is an error: {}", ran.err);
}

#[test]
fn more_services_than_fit_into_a_request_go_on_from_now() {
    let lines: Vec<_> = (0..3000)
        .map(|n| line(&format!("service-{n}"), 1, "x"))
        .collect();
    let fake = Fake::new(vec![
        Answer::Cut(json::lines(&lines).unwrap()),
        Answer::Whole(200, "{}".into()),
        Answer::Whole(503, r#"{"kind":"busy","message":"enough"}"#.into()),
    ]);
    assert_eq!(fake.ctl("tail").code, 1);
    let request = &fake.requests()[2];
    assert!(
        request.len() < 64 << 10 && request.len() > 50_000,
        "{}",
        request.len()
    );
}

#[test]
fn rotation_is_asked_for_and_told() {
    let reply = r#"{"services":["a","b"]}"#;
    let fake = Fake::new(vec![Answer::Whole(200, format!("{reply}\n"))]);
    assert_eq!(
        fake.ctl("logs --rotate a b").out,
        "a: new log file\nb: new log file\n"
    );
    assert_eq!(
        fake.requests(),
        ["POST /v1/logs/rotate?services=a,b HTTP/1.1"]
    );
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let text = json::lines(&[line("nginx", 1, "a")]).unwrap();
    let fake = Fake::new(vec![Answer::Stall(text)]);
    let root = fake.root().display();
    assert_eq!(ctl_unread(&format!("ctl --root {root} logs -f")), 0);
}
