//! `[[credentials]]`: their result, and every wrong use.

use insta::assert_snapshot;

use super::Machine;

fn with(more: &str) -> Machine {
    let mut machine = Machine::new();
    let text = format!("command = ['/bin/web']\nuser = 'web'\n{more}");
    machine.shipped("web", &text);
    machine
}

#[test]
fn a_source_a_place_and_what_makes_it() {
    let plan = with(
        "[settings]\nkey = { type = 'path' }\n\
         [[credentials]]\nsource = '/etc/ssl/web.key'\npath = '/run/web/key'\nmake = ['/bin/make', 'key']\n\
         [[credentials]]\nsource = \"{{ key if key is defined else '' }}\"\npath = '/run/web/none'\n",
    )
    .plan();
    let [only] = &plan.services["web"].credentials[..] else {
        panic!("an empty source is none");
    };
    assert_eq!(only.source.to_str(), Some("/etc/ssl/web.key"));
    assert_eq!(only.path.to_str(), Some("/run/web/key"));
    assert_eq!(only.make, ["/bin/make", "key"]);
}

#[test]
fn wrong_credentials() {
    let errors = with(
        "[[credentials]]\nsource = 'ssl/web.key'\npath = '/run/web/key'\n\
         [[credentials]]\nsource = '/etc/ssl/web.crt'\n\
         [[credentials]]\nsource = '/a'\npath = '/run/web/twice'\n\
         [[credentials]]\nsource = '/b'\npath = '/run/web/twice'\n\
         [[credentials]]\nsource = '/c'\npath = '/run/web/c'\nmake = 'make key'\nmode = '0644'\n",
    )
    .errors();
    assert_snapshot!(errors);
}

/// The owner of the directory could replace the key.
#[test]
fn a_copy_lies_in_nobody_else_s_directory() {
    let mut machine = with("[[directories]]\npath = '/srv/web'\n");
    let text = "command = ['/bin/tls']\nuser = 'tls'\n\
                [[credentials]]\nsource = '/etc/ssl/tls.key'\npath = '/srv/web/tls.key'\n";
    machine.shipped("tls", text);
    let errors = machine.errors();
    let said = "/srv/web/tls.key of `tls` is to be root's, but lies in /srv/web of `web`";
    assert!(errors.contains(said), "{errors}");
    // The service's own directory is refused too.
    let own = with(
        "[[directories]]\npath = '/srv/web'\n\
         [[credentials]]\nsource = '/etc/ssl/tls.key'\npath = '/srv/web/tls.key'\n",
    );
    assert!(own.errors().contains("could put anything in its place"));
}
