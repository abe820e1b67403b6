//! Man pages, made of the definition of the command line. Tests hold those of `packaging/man` to it, and
//! write them anew when `MATTERVISOR_UPDATE` is set.

#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

use std::{fs, path::Path};

use clap_mangen::Man;

/// The name under which every installation has the program.
const PROGRAM: &str = "mattervisorctl";
/// No version and no date: a release changes no page.
const MANUAL: &str = "Mattervisor";
const SEE_ALSO: &str = "mattervisorctl(1), mattervisord(8), mattervisor.toml(5)";

/// One page.
struct Page {
    name: String,
    text: String,
}

/// Holds the page of the whole program to this definition.
///
/// # Panics
/// The page of `packaging/man` is another one.
pub fn keep_main(definition: &clap::Command) {
    keep(&[page(definition, PROGRAM, PROGRAM)]);
}

/// Holds the pages of the commands of this definition, and of theirs, to it.
///
/// # Panics
/// A page of `packaging/man` is another one.
pub fn keep_commands(definition: &clap::Command) {
    let mut pages = Vec::new();
    below(definition, PROGRAM, PROGRAM, &mut pages);
    keep(&pages);
}

fn below(command: &clap::Command, name: &str, called: &str, pages: &mut Vec<Page>) {
    for each in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        let name = format!("{name}-{}", each.get_name());
        let called = format!("{called} {}", each.get_name());
        // What was deferred is there once it is built.
        let mut each = each.clone().disable_help_subcommand(true);
        each.build();
        pages.push(page(&each, &name, &called));
        below(&each, &name, &called, pages);
    }
}

fn page(command: &clap::Command, name: &str, called: &str) -> Page {
    let after = command.get_after_long_help().or(command.get_after_help());
    let after = after.map(ToString::to_string).unwrap_or_default();
    // clap keeps no owned name; a test may leak its few.
    let known: &'static str = name.to_owned().leak();
    let shown = command
        .clone()
        .name(known)
        .display_name(name.to_owned())
        .bin_name(called.to_owned())
        .disable_help_subcommand(true);
    let man = Man::new(shown)
        .title(name)
        .section("1")
        .date("")
        .source(MANUAL)
        .manual(MANUAL);
    let mut text = Vec::new();
    man.render_title(&mut text).unwrap();
    man.render_name_section(&mut text).unwrap();
    man.render_synopsis_section(&mut text).unwrap();
    man.render_description_section(&mut text).unwrap();
    man.render_options_section(&mut text).unwrap();
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text).unwrap();
    }
    let mut text = String::from_utf8(text).unwrap();
    if !after.is_empty() {
        // As it is printed: it has columns.
        text.push_str(".SH NOTES\n.nf\n");
        text.extend(after.lines().map(|line| format!("{}\n", escaped(line))));
        text.push_str(".fi\n");
    }
    text.push_str(".SH SEE ALSO\n");
    text.push_str(&escaped(SEE_ALSO));
    text.push('\n');
    let name = name.to_owned();
    Page { name, text }
}

/// A line of text as troff prints it.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) {
        format!("\\&{line}")
    } else {
        line
    }
}

fn keep(pages: &[Page]) {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/man");
    for Page { name, text } in pages {
        let path = place.join(format!("{name}.1"));
        if std::env::var_os("MATTERVISOR_UPDATE").is_some() {
            fs::write(&path, text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == *text,
            "{} is out of date; write it anew: MATTERVISOR_UPDATE=1 cargo test --workspace man_page",
            path.display()
        );
    }
}
