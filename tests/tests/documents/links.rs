//! Links between documents. The site that `./dev docs` builds of them keeps their files and headings,
//! so what holds here holds there.

use std::path::PathBuf;

use super::{all_documents, markdown_in, top};

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|it| it.is_alphanumeric() || " -_".contains(*it));
    kept.map(|it| if it == ' ' { '-' } else { it }).collect()
}

/// The targets of a document's links, but for those of the web.
fn links(text: &str) -> Vec<&str> {
    let ends = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    let targets = ends.map(|(target, _)| target);
    targets
        .filter(|it| !it.contains("://") && !it.contains(char::is_whitespace))
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let reference = markdown_in(&top().join("docs/reference"));
    for document in all_documents().into_iter().chain(reference) {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: no {link}", document.display());
            if !heading.is_empty() {
                let page = std::fs::read_to_string(&target).unwrap();
                let mut headings = page.lines().filter(|line| line.starts_with('#'));
                let found = headings.any(|it| anchor(it) == heading);
                assert!(found, "{}: no heading {link}", document.display());
            }
        }
    }
}

#[test]
fn headings_have_the_anchors_of_github() {
    assert_eq!(
        anchor("## Maintenance, and what users see"),
        "maintenance-and-what-users-see"
    );
    assert_eq!(anchor("### Mattermost's own `ctl`"), "mattermosts-own-ctl");
    assert_eq!(
        links("[a](b.md#c), [d](https://x), [e](f.md)"),
        ["b.md#c", "f.md"]
    );
}

/// The site has every page of docs/, once: mdBook does not build a page that the table of contents
/// lacks.
#[test]
fn the_site_has_every_page_once() {
    let docs = top().join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed: Vec<PathBuf> = links(&summary).iter().map(|it| docs.join(it)).collect();
    for page in markdown_in(&docs)
        .into_iter()
        .chain(markdown_in(&docs.join("reference")))
    {
        let times = listed.iter().filter(|it| **it == page).count();
        let wanted = usize::from(!page.ends_with("SUMMARY.md"));
        assert_eq!(times, wanted, "{} in docs/SUMMARY.md", page.display());
    }
}
