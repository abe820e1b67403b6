//! Values and statements that the reader finds in Ruby's forms.

use super::{MAX_STATEMENTS, Said, Value, What, read};

fn said(source: &str) -> Vec<Said> {
    read(source).unwrap_or_else(|error| panic!("{}:{}: {}", error.line, error.column, error.what))
}

/// The last value that a file assigns to a setting.
fn value_of(source: &str, wanted: &str) -> Value {
    let all = said(source);
    let found = all.iter().rev().find_map(|it| match &it.what {
        What::Set {
            section,
            key,
            value,
            ..
        } if format!("{section}.{key}") == wanted => Some(value.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing sets {wanted}"))
}

/// The value of an expression.
fn value(expression: &str) -> Value {
    value_of(&format!("s['x'] = {expression}\n"), "s.x")
}

fn text(it: &str) -> Value {
    Value::Text(it.to_owned())
}

#[test]
fn strings_of_every_kind() {
    for (ruby, wanted) in [
        (r"'plain'", "plain"),
        (r"'it\'s \n \\ x'", r"it's \n \ x"),
        (r#""a\tb\n\"q\" \\ \#{x} \e""#, "a\tb\n\"q\" \\ #{x} \u{1b}"),
        (r#""\u00e9\u{1f600 41}\x41\101""#, "é😀AAA"),
        (r"%q(a (b) 'c')", "a (b) 'c'"),
        (r#"%Q{x"y}"#, "x\"y"),
        (r"%(a b)", "a b"),
        (r"'a' 'b' \n".trim_end_matches(r" \n"), "ab"),
        (r#"'a' + "b" + 1.to_s"#, "ab1"),
        (r"?a", "a"),
        (r"''", ""),
        (r##""#{1 + 1}-#{'x'}-#{nil}-#{true}""##, "2-x--true"),
        (r"'ä'.upcase", "Ä"),
        (r"'a,b'.split(',').join(' ')", "a b"),
        (r"['a', 'b'].join(',')", "a,b"),
        (r"'x' * 3", "xxx"),
        (r"' x '.strip.freeze", "x"),
        (
            r"{ 'a' => 1, b: [true, nil] }.to_json",
            r#"{"a":1,"b":[true,null]}"#,
        ),
        (r"1.0.to_s", "1.0"),
    ] {
        assert_eq!(value(ruby), text(wanted), "{ruby}");
    }
}

#[test]
fn texts_over_several_lines() {
    let plain = "s['x'] = <<EOS\n  a\n  b #{1}\nEOS\n";
    assert_eq!(value_of(plain, "s.x"), text("  a\n  b 1\n"));
    let squiggly = "s['x'] = <<~EOS\n    a\n\n      b\\t#{'c'}\n    d\n  EOS\ns['y'] = 1\n";
    assert_eq!(value_of(squiggly, "s.x"), text("a\n\n  b\tc\nd\n"));
    let raw = "s['x'] = <<-'EOS'.strip\n  a \\n #{x}\n  EOS\n";
    assert_eq!(value_of(raw, "s.x"), text("a \\n #{x}"));
    let two = "s['x'] = [<<~A, <<~B]\n  one\nA\n  two\nB\n";
    assert_eq!(
        value_of(two, "s.x"),
        Value::List(vec![text("one\n"), text("two\n")])
    );
    assert_eq!(value_of("s['x'] = 'a\nb'\n", "s.x"), text("a\nb"));
}

#[test]
fn numbers_lists_and_hashes() {
    let int = Value::Int;
    for (ruby, wanted) in [
        ("10_000", int(10_000)),
        ("0x1f + 0b11 + 0o17 + 017", int(31 + 3 + 15 + 15)),
        ("10 * 1024", int(10_240)),
        ("2 ** 10 - 1", int(1023)),
        ("(1 + 2) * 3", int(9)),
        ("-7 / 2", int(-4)),
        ("'8065'.to_i", int(8065)),
        ("Integer('8065')", int(8065)),
        ("1.5", Value::Float(1.5)),
        ("1e3", Value::Float(1000.0)),
        (":sym", Value::Symbol("sym".into())),
        (":\"a b\"", Value::Symbol("a b".into())),
        ("nil", Value::Nil),
        ("true && !false", Value::Bool(true)),
        ("1 == 1.0", Value::Bool(true)),
        ("'a' < 'b' || nil", Value::Bool(true)),
        ("nil || 'x'", text("x")),
        ("true ? 'a' : 'b'", text("a")),
        ("'x'.empty? ? 1 : 2", int(2)),
        ("if 1 > 2 then 'a' else 'b' end", text("b")),
        ("[1, 2][-1]", int(2)),
        ("{ 'a' => 1 }['a']", int(1)),
    ] {
        assert_eq!(value(ruby), wanted, "{ruby}");
    }
    let list = Value::List(vec![text("a"), text("b c"), text("d")]);
    assert_eq!(value("%w[a b\\ c d]"), list);
    assert_eq!(value("%w(a) + ['b c', \"d\"]"), list);
    assert_eq!(value("['a', *['b c', 'd']]"), list);
    let hash = value("{ 'a' => 1, b: 2, \"c d\": 3, **{ 'a' => 9 } }");
    assert_eq!(hash.json().unwrap(), r#"{"a":9,"b":2,"c d":3}"#);
}

#[test]
fn variables_of_the_file_and_earlier_settings_are_known() {
    let source = "host = 'chat.example.com'\nexternal_url \"https://#{host}\"\n\
        PORT = 8065\ns['port'] = PORT\ns['url'] = \"#{external_url}:#{s['port']}\"\n\
        s['a'] = s['b'] = 12\nh = { 'x' => 1 }\nh['y'] = 2\ns['h'] = h.merge('z' => 3)\n";
    assert_eq!(
        value_of(source, "s.url"),
        text("https://chat.example.com:8065")
    );
    assert_eq!(value_of(source, "s.a"), Value::Int(12));
    assert_eq!(value_of(source, "s.b"), Value::Int(12));
    let source = source.replace("h.merge('z' => 3)", "h.merge({ 'z' => 3 })");
    assert_eq!(
        value_of(&source, "s.h").json().unwrap(),
        r#"{"x":1,"y":2,"z":3}"#
    );
}

#[test]
fn settings_grow() {
    let source = "s['env'] = { 'A' => '1' }\ns['env']['B'] = '2'\ns['env'].merge!({ 'C' => '3' })\n\
        s['l'] = ['a']\ns['l'] << 'b'\ns['l'] += %w[c]\ns['l'].push('d')\ns['n'] ||= 1\ns['n'] ||= 2\n\
        s[:sym] = 1\nGitlab['s']['g'] = 2\n";
    assert_eq!(
        value_of(source, "s.env").json().unwrap(),
        r#"{"A":"1","B":"2","C":"3"}"#
    );
    assert_eq!(
        value_of(source, "s.l").json().unwrap(),
        r#"["a","b","c","d"]"#
    );
    assert_eq!(value_of(source, "s.n"), Value::Int(1));
    assert_eq!(value_of(source, "s.sym"), Value::Int(1));
    assert_eq!(value_of(source, "s.g"), Value::Int(2));
}

#[test]
fn a_pair_knows_its_line() {
    let value = value_of("\ns['env'] = {\n  'A' => '1',\n  'B' => '2'\n}\n", "s.env");
    let Value::Hash(pairs) = value else {
        panic!("no hash")
    };
    assert_eq!(pairs.iter().map(|it| it.line).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn conditions_that_are_known_are_followed_and_others_are_not() {
    let source = "prod = true\nif prod\n  s['a'] = 1\nelse\n  s['a'] = 2\nend\n\
        s['b'] = 1 unless prod\ns['b'] = 2 if prod\n";
    assert_eq!(value_of(source, "s.a"), Value::Int(1));
    assert_eq!(value_of(source, "s.b"), Value::Int(2));
    let doubt = said("if ENV['STAGE'] == 'x'\n  s['a'] = 1\nelsif true\n  s['a'] = 2\nend\n");
    assert_eq!(doubt.len(), 2);
    for one in doubt {
        assert!(
            matches!(&one.what, What::Set { maybe: true, value: Value::Unknown(why), .. }
                if why.contains("STAGE")),
            "{one:?}"
        );
    }
}

#[test]
fn what_only_ruby_knows_says_why() {
    for (ruby, why) in [
        ("ENV['PW']", "variable PW"),
        ("ENV.fetch('PW', 'x')", "variable PW"),
        ("\"a#{ENV['PW']}\"", "variable PW"),
        ("File.read('/etc/x')", "another file"),
        ("`hostname`", "command"),
        ("node['fqdn']", "Chef"),
        ("unknown_thing", "unknown_thing"),
        ("rand(3)", "rand"),
        ("9223372036854775807 + 1", "number"),
        ("[1].map { |x| x }", "Ruby"),
    ] {
        let value = value(ruby);
        let said = value.doubt().unwrap_or_default().to_owned();
        assert!(said.contains(why), "{ruby}: {value:?}");
    }
}

#[test]
fn statements_that_set_nothing_known_are_told() {
    for source in [
        "%w[a b].each { |x| s[x] = 1 }\n",
        "from_file '/etc/gitlab/more.rb'\n",
        "def f\n 1\nend\n",
        "a, b = 1, 2\n",
        "mattermost_external_url = 'http://x'\n",
        "case 1\nwhen 1 then s['a'] = 1\nend\n",
        "s[rand] = 1\n",
    ] {
        let all = said(source);
        assert!(
            all.iter().any(|it| matches!(it.what, What::Odd(_))),
            "{source}: {all:?}"
        );
    }
    for source in [
        "# only a comment\n",
        "",
        "require 'socket'\n",
        "\n__END__\nnot ruby (",
    ] {
        let all = said(source);
        let told = all.iter().filter(|it| !matches!(it.what, What::Nothing(_)));
        assert_eq!(told.count(), 0, "{source}");
    }
}

#[test]
fn what_is_no_ruby_is_told_with_its_place() {
    for (source, line, column, what) in [
        (
            "a = 1\ns['x'] = {\n  'a' => 1\n",
            2,
            10,
            "`{` is not closed",
        ),
        ("s['x'] = [1, 2\n", 1, 10, "`[` is not closed"),
        ("s['x'] = 1 +\n", 1, 13, "a value is missing here"),
        ("s['x'] = 1\nend\n", 2, 1, "`end` stands here alone"),
        ("if x\n  s['a'] = 1\n", 1, 1, "`if` is not closed"),
        ("é = 1\ns['ü'] = )\n", 2, 8, "this is not Ruby"),
        ("s['x'] = \"abc\ndef\n", 1, 10, "`\"` is not closed"),
    ] {
        let error = read(source).unwrap_err();
        assert_eq!(
            (error.line, error.column, error.what.as_str()),
            (line, column, what),
            "{source:?}"
        );
    }
}

#[test]
fn no_secret_is_shown() {
    for source in [
        "mattermost['gitlab_secret'] = 'hunter2' + foo\n",
        "smtp_password = 'hunter2'\n",
        "s['env'] = { 'MM_EMAILSETTINGS_SMTPPASSWORD' => 'hunter2', 'A' => foo }\n",
        "s['dsn'] = \"postgres://mm:hunter2@db/mm#{foo}\"\n",
        "mattermost['sql_at_rest_encrypt_key'] = %w[hunter2].first.bar\n",
        "mattermost['gitlab_secret'] = \"hunter2\" if ENV['X']\n",
    ] {
        for one in said(source) {
            assert!(!one.text.contains("hunter2"), "{}", one.text);
        }
    }
    let shown = &said("mattermost['gitlab_secret'] = ENV['GL_SECRET']\n")[0].text;
    assert_eq!(shown, "mattermost['gitlab_secret'] = ENV['GL_SECRET']");
}

#[test]
fn depth_and_size_have_limits() {
    let deep = format!("s['x'] = {}1{}\n", "[".repeat(5000), "]".repeat(5000));
    assert!(value_of(&deep, "s.x").doubt().is_some());
    let mut doubled = String::from("a = 'xxxxxxxxxxxxxxxx'\n");
    for _ in 0..60 {
        doubled.push_str("a = a + a\n");
    }
    doubled.push_str("s['x'] = a\n");
    assert!(value_of(&doubled, "s.x").doubt().is_some());
    assert!(value("'x' * 1000000000").doubt().is_some());
    let nested = format!(
        "{}s['x'] = 1\n{}",
        "if true\n".repeat(500),
        "end\n".repeat(500)
    );
    assert!(read(&nested).is_ok());
}

proptest::proptest! {
    /// Any file is read or refused: the reader never panics.
    #[test]
    fn nothing_makes_it_fall(source in "[a-z\\['\\]=> {}\"#\n0-9:%w<~+*.(),|&!?]{0,200}") {
        let _ = read(&source);
    }
}

#[test]
fn a_file_with_too_many_statements_is_refused_and_not_cut() {
    let whole = "a['b'] = 1\n".repeat(MAX_STATEMENTS);
    assert_eq!(read(&whole).unwrap().len(), MAX_STATEMENTS);
    let error = read(&format!("{whole}a['last'] = 2\n")).unwrap_err();
    assert_eq!((error.line, error.column), (MAX_STATEMENTS + 1, 1));
    assert_eq!(
        error.what,
        "more than 5000 statements, which no gitlab.rb has"
    );
}
