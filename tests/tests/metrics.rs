//! `/metrics`, `--usage`, `/healthz` and `/readyz`.

use std::process::Command;

use mattervisor_tests::{Site, StatusExt, eventually, skip};

/// Reads a file with Prometheus' own parser of `OpenMetrics` and prints the number of its metric
/// families. The distribution's Python, which has the parser, need not be the first in PATH.
const PARSER: &str = r#"
for python in python3 /usr/bin/python3; do
    "$python" -c 'import prometheus_client.openmetrics.parser' 2>/dev/null || continue
    exec "$python" -c '
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
print(len(list(parse(open(sys.argv[1]).read()))))
' "$1"
done
exit 77
"#;

/// The value of the sample with this name and these labels.
#[track_caller]
fn value(text: &str, sample: &str) -> f64 {
    let mut lines = text.lines();
    let found = lines.find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let found = found.unwrap_or_else(|| panic!("no {sample} in\n{text}"));
    found.parse().unwrap()
}

/// A site with a service that crashes, one whose probe fails, and one with a child.
fn site() -> Site {
    let mut site = Site::new();
    let policy = r#"
        [restart]
        delay = "1h"
        max_delay = "1h"
    "#;
    site.child("crash", &["print=bye", "exit=3"], policy);
    let probe = r#"
        [health]
        exec = ["sh", "-c", "exit 1"]
        interval = "50ms"
        failures = 1
    "#;
    site.child("sick", &["sleep"], probe);
    site.child("parent", &["setsid-child", "sleep"], "");
    site.site_file("");
    site.start_ready();
    site.wait_for("all has happened", |status| {
        status.state("crash") == "backoff" && status.service("sick").healthy == Some(false)
    });
    site
}

#[test]
fn metrics_count_what_has_happened() {
    let site = site();
    site.wait_log("crash", |line| line == "bye");
    let reply = site.get("/metrics");
    assert_eq!(reply.status, 200);
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(reply.head.contains(kind), "{}", reply.head);
    let text = &reply.body;
    assert!(text.ends_with("# EOF\n"), "{text}");
    let sample = |sample: &str| value(text, &format!("mattervisor_{sample}"));
    let exits = "service_exits_total{service=\"crash\",how=\"exited\",status=\"3\"}";
    assert!((sample(exits) - 2.0).abs() < 0.1, "{text}");
    assert!(sample("service_restarts_total{service=\"crash\"}") > 0.5);
    let state = "service_state{service=\"crash\",mattervisor_service_state=\"backoff\"}";
    assert!(sample(state) > 0.5);
    assert!(sample("service_healthy{service=\"sick\"}") < 0.5);
    let labels = "{service=\"sick\",probe=\"health\"}";
    assert!(sample(&format!("probe_failures_total{labels}")) > 0.5);
    let count = sample(&format!("probe_duration_seconds_count{labels}"));
    assert!(sample(&format!("probe_duration_seconds_sum{labels}")) < count * 60.0);
    assert!(sample("log_written_bytes_total{service=\"crash\"}") > 7.0);
    assert!(sample("log_dropped_lines_total{service=\"crash\"}") < 0.5);
    // The child has a session of its own, and belongs to the service all the same.
    assert!(sample("service_processes{service=\"parent\"}") > 1.5);
    let memory = sample("service_memory_bytes{service=\"parent\"}");
    assert!((100e3..1e9).contains(&memory), "{memory}");
    assert!(sample("process_resident_memory_bytes{process=\"keeper\"}") > 100e3);
    let started = sample("service_start_time_seconds{service=\"parent\"}");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    assert!((now.as_secs_f64() - started).abs() < 120.0, "{started}");
}

#[test]
fn prometheus_reads_the_metrics() {
    let site = site();
    let file = site.path("metrics");
    std::fs::write(&file, site.get("/metrics").body).unwrap();
    let mut parser = Command::new("sh");
    parser.args(["-c", PARSER, "sh"]).arg(&file);
    let parsed = mattervisor_tests::run(&mut parser);
    if parsed.code == 77 {
        skip!("no parser of OpenMetrics: install the package python3-prometheus-client");
    }
    let families: u32 = parsed.ok().stdout.trim().parse().unwrap();
    assert!(families > 20, "{families}");
}

#[test]
fn usage_is_shown_only_when_asked_for() {
    let site = site();
    let plain = site.status();
    let of = plain.service("parent");
    assert_eq!((of.cpu_percent, of.memory_bytes), (None, None));
    let answer = site.ctl(&["status", "--usage", "--format", "json", "parent"]);
    let status: mattervisor_tests::StatusReply = serde_json::from_str(&answer.ok().stdout).unwrap();
    let of = status.service("parent");
    assert!(of.memory_bytes.is_some_and(|it| it > 100_000), "{of:#?}");
    assert!(of.cpu_percent.is_some_and(|it| it < 1000.0), "{of:#?}");
    let table = site.ctl(&["status", "--usage"]).stdout;
    assert!(table.lines().next().unwrap().contains("MEM"), "{table}");
}

#[test]
fn probes_of_containers_get_a_word_and_a_status() {
    let site = site();
    let reply = site.get("/healthz");
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
    let reply = site.get("/readyz");
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (503, "not ready: crash\n")
    );
    let verbose = site.get("/readyz?verbose").body;
    assert!(verbose.contains("[+]parent ok\n"), "{verbose}");
    assert!(
        verbose.contains("[-]crash failed: exit code 3"),
        "{verbose}"
    );
    std::fs::write(
        site.path("etc/mattervisor/services.d/crash.toml"),
        "enable = false\ncommand = ['x']\n",
    )
    .unwrap();
    site.ctl(&["reconfigure"]).ok();
    eventually("all is ready", || {
        (site.get("/readyz").status == 200).then_some(())
    });
}
