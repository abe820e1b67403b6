//! The proxy over TLS, with a certificate of the test's own.

use std::{path::Path, process::Command};

use mattervisor_tests::{eventually, free_port, need, nginx, openssl, postgres, run};

use crate::stack::Stack;

/// Head and body of an answer, as curl prints it.
fn curl(arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "-i", "--max-time", "30", "--noproxy", "*"]);
    run(command.args(arguments)).ok().stdout
}

fn make_certificate(directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    let at = |end: &str| directory.join(format!("localhost.{end}"));
    openssl::self_signed(&at("crt"), &at("key"), "DNS:localhost", 2);
}

/// Certificate and key are found at their default paths, plain HTTP is redirected, HTTP/2 and HSTS
/// are on. With a broken certificate a reload is refused, and a restart uses the old one.
#[test]
fn https_with_redirect_and_a_broken_certificate() {
    let bin = need!(postgres());
    need!(nginx());
    let plain = free_port();
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.over_tls(plain);
    let ssl = stack.site.path("etc/mattervisor/ssl");
    make_certificate(&ssl);
    stack.start();
    let trusted = ssl.join("localhost.crt").display().to_string();
    let page = format!("https://localhost:{}/", stack.nginx_port);
    let answer = curl(&["--cacert", &trusted, &page]);
    assert!(answer.starts_with("HTTP/2 200"), "{answer}");
    assert!(
        answer
            .to_lowercase()
            .contains("strict-transport-security: max-age=63072000"),
        "{answer}"
    );
    let answer = curl(&[&format!("http://localhost:{plain}/x?y=1")]);
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");
    assert!(
        answer.contains(&format!(
            "ocation: https://localhost:{}/x?y=1",
            stack.nginx_port
        )),
        "{answer}"
    );
    // nginx would reject this certificate: the reload is refused, and the running nginx goes on.
    let good = std::fs::read(ssl.join("localhost.crt")).unwrap();
    std::fs::write(ssl.join("localhost.crt"), "no certificate").unwrap();
    let refused = stack.site.ctl(&["reload", "nginx"]).expect_code(1);
    assert!(refused.both().contains("certificate"), "{}", refused.both());
    std::fs::write(ssl.join("good.crt"), &good).unwrap();
    let trusted = ssl.join("good.crt").display().to_string();
    assert!(curl(&["--cacert", &trusted, &page]).starts_with("HTTP/2 200"));
    // A restart uses the certificate that nginx had before.
    stack.site.ctl(&["restart", "nginx"]).ok();
    assert!(curl(&["--cacert", &trusted, &page]).starts_with("HTTP/2 200"));
    let told = stack.site.ctl(&["events", "nginx"]).ok().stdout;
    assert!(told.contains("starts with the files that it had"), "{told}");
    std::fs::write(ssl.join("localhost.crt"), &good).unwrap();
    no_copy_is_left_of_what_was_refused(&stack);
}

/// Neither a dry run nor a change that is refused leaves a copy of another key behind.
fn no_copy_is_left_of_what_was_refused(stack: &Stack) {
    let copies = stack.site.path("run/mattervisor/nginx-conf/tls");
    let names = || -> Vec<_> {
        let entries = std::fs::read_dir(&copies).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    assert_eq!(before.len(), 2, "{before:?}");
    let other = stack.site.path("etc/other");
    make_certificate(&other);
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let site_file = std::fs::read_to_string(file).unwrap();
    let other = other.display();
    let site_file = format!(
        "
            {site_file}
            mattermost_nginx.ssl_certificate = '{other}/localhost.crt'
            mattermost_nginx.ssl_certificate_key = '{other}/localhost.key'
        "
    );
    stack.site.site_file(&site_file);
    stack.site.ctl(&["reconfigure", "--dry-run"]).ok();
    assert_eq!(names(), before);
    stack.site.site_file(&format!(
        "{site_file}nginx.custom_nginx_config = 'bogus on;'\n"
    ));
    let refused = stack.site.ctl(&["reconfigure"]).expect_code(1).both();
    assert!(refused.contains("bogus"), "{refused}");
    assert_eq!(names(), before);
    stack.site.site_file(&site_file);
    stack.site.ctl(&["reconfigure"]).ok();
    let now = names();
    assert!(now.len() == 2 && now != before, "{now:?}");
}

/// Values with quotes, braces, semicolons and variables stay as written and within their directive;
/// a value with a line break is refused.
#[test]
fn no_value_leaves_its_directive() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let site_file = std::fs::read_to_string(&file).unwrap();
    let monitor = free_port();
    let nasty = format!(
        "mattermost_nginx.proxy_set_headers = {{ X-Test = 'a\"b; }} \\ {{c}} #d', X-Frame-Options = '' }}\n\
         mattermost_nginx.referrer_policy = 'x\"; add_header X-Evil 1; #'\n\
         mattermost_nginx.custom_gitlab_mattermost_server_config = 'add_header X-Raw yes always;'\n\
         nginx.log_format = \"'$request_method' {{\\\"}}; $status\"\n\
         nginx.client_max_body_size = '1m'\nmattermost_nginx.client_max_body_size = '2m'\n\
         nginx.proxy_cache = 'gitlab'\nnginx.hide_server_tokens = 'off'\n\
         nginx.status = {{ enable = true, port = {monitor} }}\n\
         mattermost_nginx.listen_port = {}\n",
        stack.nginx_port
    );
    stack.site.site_file(&format!("{site_file}{nasty}"));
    stack.start();
    let page = format!("http://127.0.0.1:{}", stack.nginx_port);
    let echoed = curl(&[&format!("{page}/api/v4/echo-headers")]);
    assert!(echoed.contains(r#"a\"b; } \\ {c} #d"#), "{echoed}");
    assert!(
        !echoed.to_lowercase().contains("x-frame-options"),
        "{echoed}"
    );
    assert!(
        echoed.contains("Referrer-Policy: x\"; add_header X-Evil 1; #"),
        "{echoed}"
    );
    assert!(
        echoed.contains("X-Raw: yes") && !echoed.contains("\nX-Evil"),
        "{echoed}"
    );
    let asked = curl(&[&format!("http://127.0.0.1:{monitor}/nginx_status")]);
    assert!(asked.contains("Active connections"), "{asked}");
    let rendered = stack.site.path("run/mattervisor/nginx-conf/nginx.conf");
    let rendered = std::fs::read_to_string(rendered).unwrap();
    assert!(
        rendered.contains("client_max_body_size \"2m\";"),
        "{rendered}"
    );
    stack
        .site
        .wait_log("nginx", |line| line.contains("'GET' {\"}; 200"));

    stack
        .site
        .site_file(&format!("{site_file}nginx.log_format = \"a\\n}}\"\n"));
    let refused = stack.site.ctl(&["reconfigure"]).expect_code(1).both();
    assert!(
        refused.contains("nginx.log_format: cannot contain a line break"),
        "{refused}"
    );
}

/// The variables of GitLab's nginx are defined, and directives that GitLab's template has in its
/// locations may be repeated.
#[test]
fn what_a_gitlab_rb_said_to_nginx_works() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let site_file = std::fs::read_to_string(&file).unwrap();
    let said = "mattermost_nginx.proxy_set_headers = { Upgrade = '$http_upgrade', Connection = '$connection_upgrade' }\n\
        nginx.log_format = '$filtered_request_uri|$filtered_http_referer|'\n\
        mattermost_nginx.custom_gitlab_mattermost_server_config = '''\n\
        proxy_read_timeout 600s;\nproxy_connect_timeout 30s;\nproxy_send_timeout 600s;\n\
        proxy_http_version 1.1;\nproxy_redirect off;\nreal_ip_recursive on;\n'''\n";
    stack.site.site_file(&format!("{site_file}{said}"));
    stack.start();
    let page = format!("http://127.0.0.1:{}", stack.nginx_port);
    let asked = "/api/v4/system/ping?a=1&private_token=hunter2&feed-token=hunter2&z=2";
    curl(&[
        "-e",
        "http://r.example.com/p?q=hunter2",
        &format!("{page}{asked}"),
    ]);
    let wanted = "/api/v4/system/ping?a=1&private_token=[FILTERED]&feed-token=[FILTERED]&z=2|http://r.example.com/p|";
    eventually("the request is in the log", || {
        let told = stack.site.ctl(&["logs", "nginx"]).ok().stdout;
        assert!(!told.contains("hunter2"), "{told}");
        told.contains(wanted).then_some(())
    });
}

/// HTTPS without a certificate, a common first mistake: the running nginx goes on, and the message
/// names the ways out.
#[test]
fn https_without_a_certificate_is_refused_with_what_to_do() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    stack.over_tls(free_port());
    let missing = stack.site.file("etc/mattervisor/ssl/localhost.crt");
    let said = format!(
        "{missing}: cannot be read: it is not there; put one there, set letsencrypt.enable = true, or begin with \
         mattermost_external_url = \"http://…\""
    );
    for arguments in [&["reconfigure", "--dry-run"][..], &["reconfigure"]] {
        let told = stack.site.ctl(arguments).expect_code(1).both();
        assert!(told.contains(&said), "{told}");
    }
    let page = format!("http://127.0.0.1:{}/", stack.nginx_port);
    assert!(curl(&[&page]).starts_with("HTTP/1.1 200"));
}
