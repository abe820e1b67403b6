//! No circle among modules: where two modules need each other, neither can be read, tested or moved
//! alone.
//!
//! A module needs another if it names it by a path (`use crate::…`, `super::…`, `self::…`, or such
//! a path within the code); methods that one module adds to a type of another's are no path. Crate
//! roots are left out: they name every module. Tests are left out too. What remains is searched for
//! strongly connected components.
//!
//! Up to [`SMALL`] modules may form a circle: a type and its parts.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// So many modules may name each other in a circle.
const SMALL: usize = 3;

/// Each module, and the modules that it names.
type Graph = BTreeMap<String, BTreeSet<String>>;

fn crates(repository: &Path) -> Vec<PathBuf> {
    let mut all = vec![
        repository.join("supervisor/src"),
        repository.join("ctl/src"),
    ];
    for parent in ["supervisor", "ctl"] {
        let children = fs::read_dir(repository.join(parent)).unwrap();
        let sources = children.map(|child| child.unwrap().path().join("src"));
        all.extend(sources.filter(|it| it.is_dir() && !it.ends_with("src/src")));
    }
    all.sort();
    all
}

/// Files of a crate by the names of their modules; the root's name is empty.
fn modules(root: &Path, dir: &Path, out: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if !["test", "tests", "simulation"].contains(&name.as_str()) {
                modules(root, &path, out);
            }
            continue;
        }
        let tests = ["test.rs", "tests.rs", "testing.rs", "harness.rs"].contains(&name.as_str());
        let Some(stem) = name.strip_suffix(".rs").filter(|_| !tests) else {
            continue;
        };
        let above = path.parent().unwrap().strip_prefix(root).unwrap();
        let mut parts: Vec<&str> = above.iter().map(|it| it.to_str().unwrap()).collect();
        if !["mod", "lib", "main"].contains(&stem) {
            parts.push(stem);
        }
        out.insert(parts.join("::"), path);
    }
}

/// The code of a file: no comment, nothing that only its tests have.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths of a `use`, each written out.
fn expand(prefix: &str, tree: &str, out: &mut Vec<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap();
        if !path.is_empty() {
            out.push(format!("{prefix}{path}").split_whitespace().collect());
        }
        return;
    };
    let prefix = format!("{prefix}{}", &tree[..open]);
    let close = tree.rfind('}').unwrap_or(tree.len());
    let (mut depth, mut begin) = (0_u32, open + 1);
    for (at, c) in tree[..close]
        .char_indices()
        .skip_while(|(at, _)| *at <= open)
    {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&prefix, &tree[begin..at], out);
                begin = at + 1;
            }
            _ => {}
        }
    }
    expand(&prefix, &tree[begin..close], out);
}

const fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Where a word begins that stands by itself, not within a path.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let after = code[at + word.len()..].chars().next();
            !code[..*at].ends_with(|c| in_word(c) || c == ':') && !after.is_some_and(in_word)
        })
}

/// All paths that a file names: those of its `use`s, and those that begin with a word for the
/// crate.
fn paths(code: &str) -> Vec<String> {
    let mut out = Vec::new();
    let begins_line = |at: &usize| {
        let before = code[..*at].rsplit('\n').next().unwrap().trim();
        before.is_empty() || before.starts_with("pub")
    };
    for at in words(code, "use").filter(begins_line) {
        let tree = &code[at + "use".len()..];
        expand("", &tree[..tree.find(';').unwrap_or(0)], &mut out);
    }
    for word in ["crate", "super", "self"] {
        for at in words(code, word) {
            let rest = &code[at..];
            let end = rest.find(|c| !in_word(c) && c != ':').unwrap_or(rest.len());
            let path = rest[..end].trim_end_matches(':');
            // What goes on with a brace has been written out above.
            if path.contains("::") && !rest[..end].ends_with("::") {
                out.push(path.to_owned());
            }
        }
    }
    out
}

/// The module that a path of a module's leads to.
fn target(modules: &BTreeMap<String, PathBuf>, of: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = of.split("::").filter(|it| !it.is_empty()).collect();
    let steps: Vec<&str> = path.split("::").collect();
    let mut rest = &steps[..];
    match steps[0] {
        "crate" => {
            parts.clear();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first() == Some(&"super") {
                parts.pop();
                rest = &rest[1..];
            }
        }
        child => {
            let child = [&parts[..], &[child]].concat().join("::");
            if rest.len() < 2 || !modules.contains_key(&child) {
                return None;
            }
        }
    }
    parts.extend(rest);
    let found = (1..=parts.len())
        .rev()
        .map(|count| parts[..count].join("::"));
    let found = found
        .filter(|it| modules.contains_key(it))
        .max_by_key(String::len);
    found.filter(|it| it != of)
}

fn graph(root: &Path) -> Graph {
    let mut all = BTreeMap::new();
    modules(root, root, &mut all);
    let named = |(name, file): (&String, &PathBuf)| {
        let code = code(&fs::read_to_string(file).unwrap());
        let targets = paths(&code);
        let targets = targets.iter().filter_map(|path| target(&all, name, path));
        (name.clone(), targets.collect())
    };
    let mut graph: Graph = all.iter().map(named).collect();
    graph.remove("");
    graph
}

fn reachable<'a>(graph: &'a Graph, from: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut todo) = (BTreeSet::new(), vec![from]);
    while let Some(at) = todo.pop() {
        let next = graph.get(at).into_iter().flatten();
        todo.extend(next.map(String::as_str).filter(|it| seen.insert(*it)));
    }
    seen
}

/// Sets of modules of which each reaches each other, the largest first.
fn circles(graph: &Graph) -> Vec<Vec<&str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph
        .keys()
        .map(|from| (from.as_str(), reachable(graph, from)))
        .collect();
    let mut circles: BTreeSet<Vec<&str>> = BTreeSet::new();
    for (from, to) in &reached {
        let circle = to.iter().filter(|it| reached[*it].contains(from));
        circles.insert(circle.copied().collect());
    }
    let mut circles: Vec<Vec<&str>> = circles.into_iter().filter(|it| it.len() > 1).collect();
    circles.sort_by_key(|it| std::cmp::Reverse(it.len()));
    circles
}

#[test]
fn no_circle_has_more_than_three_modules() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for root in crates(&repository) {
        let graph = graph(&root);
        seen += graph.len();
        let all = circles(&graph);
        let large: Vec<&Vec<&str>> = all.iter().filter(|it| it.len() > SMALL).collect();
        let name = root.strip_prefix(&repository).unwrap().display();
        wrong.extend(large.iter().map(|it| format!("{name}: {it:?}")));
    }
    assert!(seen > 300, "only {seen} modules are seen");
    assert!(
        wrong.is_empty(),
        "move what both need into a module of its own:\n{}",
        wrong.join("\n")
    );
}

/// Modules that lie outside `layer` and name a module of it.
fn above(graph: &Graph, layer: &str) -> Vec<String> {
    let inside = |module: &str| module.split("::").next() == Some(layer);
    let outside = graph.iter().filter(|(module, _)| !inside(module));
    let names = outside.flat_map(|(module, targets)| {
        let found = targets.iter().filter(|it| inside(it));
        found.map(move |it| format!("{module} names {it}"))
    });
    names.collect()
}

#[test]
fn the_control_process_is_the_top_layer_of_the_daemon() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let graph = graph(&repository.join("supervisor/src"));
    let control = graph.keys().filter(|it| it.starts_with("control::"));
    assert!(control.count() > 50, "the control process is not seen");
    let above = above(&graph, "control");
    assert!(
        above.is_empty(),
        "move what both need below, or lend it from main.rs:\n{}",
        above.join("\n")
    );
}

#[test]
fn who_names_a_layer_from_outside_is_found() {
    let names = |targets: &[&str]| targets.iter().map(ToString::to_string).collect();
    let graph: Graph = [
        ("control".to_owned(), names(&["control::part", "low"])),
        ("control::part".to_owned(), names(&["control"])),
        ("controls".to_owned(), names(&["low"])),
        ("low".to_owned(), names(&["control::part", "controls"])),
    ]
    .into();
    assert_eq!(above(&graph, "control"), ["low names control::part"]);
}

#[test]
fn a_circle_is_found_by_each_kind_of_path() {
    let root = tempfile::tempdir().unwrap();
    let files = [
        ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\nmod lone;\n"),
        ("a.rs", "use crate::{b::{self, B}, lone::Lone};\n"),
        ("b.rs", "fn make() -> super::c::C { super::c::C }\n"),
        ("c/mod.rs", "mod part;\nuse self::part::Part;\n"),
        (
            "c/part.rs",
            "use super::super::d as other; // crate::lone\n",
        ),
        (
            "d.rs",
            "use crate::a::A;\n#[cfg(test)]\nmod tests {\n    use crate::lone::Lone;\n}\n",
        ),
        (
            "lone.rs",
            "use std::{a::A, b::B};\nconst IT: &str = \"lone\";\n",
        ),
    ];
    fs::create_dir(root.path().join("c")).unwrap();
    for (name, text) in files {
        fs::write(root.path().join(name), text).unwrap();
    }
    let graph = graph(root.path());
    assert_eq!(circles(&graph), [["a", "b", "c", "c::part", "d"]]);
    assert!(graph["lone"].is_empty());
}
