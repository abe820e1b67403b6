//! Decides which statements of a dump are executed.
//!
//! The dump is executed by the owner of the database, who rules the database and nothing else.
//! Statements about other roles, existing objects and settings that this server lacks are left out,
//! because they could not succeed; statements that no dump of one database has are refused.

use serde::Serialize;

use super::lexer::Token;

/// The decision about a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Execute the statement.
    Pass,
    /// Execute the statement, which creates a table.
    Table(String),
    /// Execute the statement; rows of a table follow.
    Copy { schema: String, table: String },
    /// Leave the statement out.
    Leave(Left),
    /// Refuse the dump: the statement is about databases or roles, so the dump is of several
    /// databases, or names its own.
    Databases,
    /// Refuse the dump.
    Refuse,
}

/// Why a statement is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Left {
    /// The statement sets an owner: one role owns everything here.
    Owners,
    /// The statement grants privileges to other roles.
    Privileges,
    /// The statement creates what exists already, or drops what does not exist.
    Existing,
    /// The statement sets a parameter that is decided here.
    Settings,
    /// The statement begins or ends a transaction: the whole restore is one.
    Transactions,
}

impl Left {
    /// The reason in words, for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Owners => "owners",
            Self::Privileges => "privileges of other roles",
            Self::Existing => "what is there already, or not yet",
            Self::Settings => "settings",
            Self::Transactions => "transactions",
        }
    }
}

/// Kinds of objects that a dump creates, alters and drops.
const KINDS: [&str; 25] = [
    "aggregate",
    "cast",
    "collation",
    "constraint",
    "conversion",
    "domain",
    "function",
    "index",
    "large",
    "materialized",
    "operator",
    "policy",
    "procedure",
    "publication",
    "routine",
    "rule",
    "schema",
    "sequence",
    "statistics",
    "table",
    "text",
    "transform",
    "trigger",
    "type",
    "view",
];
/// Words that may precede a kind.
const BEFORE_KIND: [&str; 4] = ["or", "replace", "unique", "unlogged"];
/// Parameters that concern the rest of the dump.
const SETTINGS: [&str; 13] = [
    "check_function_bodies",
    "client_encoding",
    "client_min_messages",
    "default_table_access_method",
    "escape_string_warning",
    "idle_in_transaction_session_timeout",
    "lock_timeout",
    "row_security",
    "search_path",
    "standard_conforming_strings",
    "statement_timeout",
    "transaction_timeout",
    "xmloption",
];
/// First server version with `transaction_timeout`.
const TRANSACTION_TIMEOUT_MAJOR: u32 = 17;
/// Encodings of servers: in these an ASCII byte is never a part of another character.
const ENCODINGS: [&str; 8] = [
    "utf8",
    "unicode",
    "sql_ascii",
    "latin",
    "win",
    "iso_8859",
    "koi8",
    "euc_",
];
/// Functions of `pg_catalog` that a dump calls.
const FUNCTIONS: [&str; 6] = [
    "setval",
    "lo_create",
    "lo_open",
    "lowrite",
    "lo_close",
    "lo_unlink",
];

/// Judges a statement by its tokens; `all` says whether the tokens are complete, and `major` is the
/// server's version.
pub(super) fn judge(tokens: &[Token], all: bool, major: u32) -> Verdict {
    let words: Vec<&str> = tokens.iter().map_while(Token::word).take(8).collect();
    match words.as_slice() {
        ["insert", "into", ..] => Verdict::Pass,
        _ if !all => Verdict::Refuse,
        [] if tokens.is_empty() => Verdict::Leave(Left::Existing),
        ["copy", ..] => copy(tokens),
        ["alter", "default", "privileges", ..] | ["grant" | "revoke", ..] => {
            Verdict::Leave(Left::Privileges)
        }
        ["security", "label", ..] => Verdict::Leave(Left::Privileges),
        ["alter", kind, ..] if KINDS.contains(kind) => alter(tokens),
        ["drop", kind, ..] if KINDS.contains(kind) || *kind == "extension" => {
            Verdict::Leave(Left::Existing)
        }
        ["create", "database" | "role" | "user", ..] => Verdict::Databases,
        ["comment", "on", "extension" | "database", ..]
        | ["comment", "on", "schema", "public", ..] => Verdict::Leave(Left::Existing),
        ["comment", "on", ..] | ["refresh", "materialized", "view", ..] => Verdict::Pass,
        ["set" | "reset", "role", ..] | ["set" | "reset", "session", "authorization", ..] => {
            Verdict::Leave(Left::Owners)
        }
        ["set", name, ..] => set(name, tokens, major),
        ["select", ..] => select(tokens),
        ["begin" | "commit"] if tokens.len() == 1 => Verdict::Leave(Left::Transactions),
        ["create", ..] => create(tokens, &words[1..]),
        _ => Verdict::Refuse,
    }
}

/// `COPY schema.table (column, …) FROM stdin`, as `pg_dump` writes it and in no other form.
fn copy(tokens: &[Token]) -> Verdict {
    let from_stdin = |rest: &[Token]| {
        let words: Vec<_> = rest.iter().map(Token::word).collect();
        words == [Some("from"), Some("stdin")]
    };
    let Some((schema, table, rest)) = named(&tokens[1..]) else {
        return Verdict::Refuse;
    };
    let rest = match rest {
        [Token::Symbol(b'('), columns @ ..] => {
            let end = columns.iter().position(|it| *it == Token::Symbol(b')'));
            let end = end.unwrap_or(columns.len());
            let comma = Token::Symbol(b',');
            if !columns[..end]
                .iter()
                .all(|it| it.name().is_some() || *it == comma)
            {
                return Verdict::Refuse;
            }
            columns.get(end + 1..).unwrap_or_default()
        }
        rest => rest,
    };
    if !from_stdin(rest) {
        return Verdict::Refuse;
    }
    Verdict::Copy { schema, table }
}

/// A name with or without its schema, and the tokens behind it.
fn named(tokens: &[Token]) -> Option<(String, String, &[Token])> {
    match tokens {
        [first, Token::Symbol(b'.'), second, rest @ ..] => {
            Some((first.name()?.to_owned(), second.name()?.to_owned(), rest))
        }
        [first, rest @ ..] => Some(("public".to_owned(), first.name()?.to_owned(), rest)),
        [] => None,
    }
}

fn create(tokens: &[Token], words: &[&str]) -> Verdict {
    let before = words
        .iter()
        .take_while(|it| BEFORE_KIND.contains(it))
        .count();
    let has = |word: &str| tokens.iter().any(|it| it.word() == Some(word));
    match &words[before..] {
        ["schema", "public", ..] | ["language" | "procedural" | "trusted", ..] => {
            Verdict::Leave(Left::Existing)
        }
        // A body that is not a text literal: versions of psql differ in where it ends.
        ["function" | "procedure", ..] if has("begin") => Verdict::Refuse,
        ["table", "if", "not", "exists", ..] => table(&tokens[before + 5..]),
        ["table", ..] => table(&tokens[before + 2..]),
        ["extension", ..] => Verdict::Pass,
        [kind, ..] if KINDS.contains(kind) => Verdict::Pass,
        _ => Verdict::Refuse,
    }
}

fn table(tokens: &[Token]) -> Verdict {
    match named(tokens) {
        Some((_, table, _)) => Verdict::Table(table),
        None => Verdict::Refuse,
    }
}

fn alter(tokens: &[Token]) -> Verdict {
    let owner = tokens
        .windows(2)
        .any(|two| two[0].word() == Some("owner") && two[1].word() == Some("to"));
    if owner {
        return Verdict::Leave(Left::Owners);
    }
    Verdict::Pass
}

fn set(name: &str, tokens: &[Token], major: u32) -> Verdict {
    let value = tokens.last().map(|it| match it {
        Token::Word(it) | Token::Quoted(it) | Token::Text(it) => it.to_ascii_lowercase(),
        Token::Symbol(_) => String::new(),
    });
    let value = value.unwrap_or_default();
    match name {
        "transaction_timeout" if major < TRANSACTION_TIMEOUT_MAJOR => {
            Verdict::Leave(Left::Settings)
        }
        // The lexer assumes standard strings.
        "standard_conforming_strings" if value != "on" => Verdict::Refuse,
        "client_encoding" if !ENCODINGS.iter().any(|it| value.starts_with(it)) => Verdict::Refuse,
        name if SETTINGS.contains(&name) => Verdict::Pass,
        _ => Verdict::Leave(Left::Settings),
    }
}

fn select(tokens: &[Token]) -> Verdict {
    let of_catalog = |tokens: &[Token]| -> Option<String> {
        match tokens {
            [
                catalog,
                Token::Symbol(b'.'),
                function,
                Token::Symbol(b'('),
                ..,
            ] if catalog.word() == Some("pg_catalog") => function.word().map(str::to_owned),
            _ => None,
        }
    };
    match &tokens[1..] {
        // Statistics of the tables as they were: they are gathered anew.
        [Token::Symbol(b'*'), from, rest @ ..] if from.word() == Some("from") => {
            match of_catalog(rest) {
                Some(function) if function.starts_with("pg_restore_") => {
                    Verdict::Leave(Left::Settings)
                }
                _ => Verdict::Refuse,
            }
        }
        rest => match of_catalog(rest).as_deref() {
            Some("set_config") if rest[4] == Token::Text("search_path".to_owned()) => Verdict::Pass,
            Some(function) if FUNCTIONS.contains(&function) => Verdict::Pass,
            _ => Verdict::Refuse,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer::{Lexer, Step};
    use super::*;

    fn verdict(sql: &str, major: u32) -> Verdict {
        let mut lexer = Lexer::new(true);
        let mut at = 0;
        while lexer.step(sql.as_bytes(), &mut at) != Ok(Step::Statement) {
            assert!(at < sql.len(), "{sql}");
        }
        let (tokens, all) = lexer.tokens();
        judge(tokens, all, major)
    }

    #[test]
    fn what_pg_dump_writes_is_executed() {
        for sql in [
            "SET statement_timeout = 0;",
            "SET client_encoding = 'UTF8';",
            "SET transaction_timeout = 0;",
            "SELECT pg_catalog.set_config('search_path', '', false);",
            "CREATE TYPE public.channel_type AS ENUM ('P', 'G');",
            "CREATE MATERIALIZED VIEW public.v AS SELECT 1 WITH NO DATA;",
            "CREATE UNIQUE INDEX i ON public.t USING btree (id);",
            "CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;",
            "CREATE OR REPLACE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$ select 1; $$;",
            "ALTER TABLE ONLY public.t ADD CONSTRAINT p PRIMARY KEY (id);",
            "ALTER TABLE ONLY public.t ALTER COLUMN id SET DEFAULT nextval('public.s'::regclass);",
            "SELECT pg_catalog.setval('public.s', 1, true);",
            "REFRESH MATERIALIZED VIEW public.v;",
            "INSERT INTO public.t VALUES (1, 'a;b');",
            "COMMENT ON TABLE public.t IS 'x';",
        ] {
            assert_eq!(verdict(sql, 17), Verdict::Pass, "{sql}");
        }
        assert_eq!(
            verdict("CREATE TABLE public.\"po sts\" (id int);", 15),
            Verdict::Table("po sts".to_owned())
        );
        assert_eq!(
            verdict("COPY public.posts (id, \"a b\") FROM stdin;", 15),
            Verdict::Copy {
                schema: "public".to_owned(),
                table: "posts".to_owned()
            }
        );
    }

    #[test]
    fn what_cannot_be_done_as_the_role_is_left_out() {
        for (sql, left) in [
            ("SET transaction_timeout = 0;", Left::Settings),
            ("SET default_tablespace = '';", Left::Settings),
            (
                "ALTER TABLE public.t OWNER TO gitlab_mattermost;",
                Left::Owners,
            ),
            (
                "ALTER SCHEMA public OWNER TO \"gitlab-psql\";",
                Left::Owners,
            ),
            ("SET ROLE postgres;", Left::Owners),
            ("SET SESSION AUTHORIZATION 'postgres';", Left::Owners),
            ("RESET SESSION AUTHORIZATION;", Left::Owners),
            ("GRANT ALL ON SCHEMA public TO PUBLIC;", Left::Privileges),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE x GRANT ALL ON TABLES TO y;",
                Left::Privileges,
            ),
            ("CREATE SCHEMA public;", Left::Existing),
            ("COMMENT ON EXTENSION plpgsql IS 'x';", Left::Existing),
            ("COMMENT ON SCHEMA public IS 'x';", Left::Existing),
            ("DROP TABLE public.posts;", Left::Existing),
            ("COMMIT;", Left::Transactions),
        ] {
            assert_eq!(verdict(sql, 15), Verdict::Leave(left), "{sql}");
        }
    }

    #[test]
    fn dumps_of_databases_are_known() {
        for sql in ["CREATE DATABASE x;", "CREATE ROLE x SUPERUSER;"] {
            assert_eq!(verdict(sql, 15), Verdict::Databases, "{sql}");
        }
    }

    #[test]
    fn what_no_dump_has_is_refused() {
        for sql in [
            "COPY public.t FROM PROGRAM 'touch /tmp/x';",
            "COPY public.t FROM '/etc/passwd';",
            "COPY public.t TO stdout;",
            "COPY public.t FROM stdin WITH (FORMAT csv);",
            "COPY (SELECT 1) TO PROGRAM 'x';",
            "ALTER SYSTEM SET archive_command = 'x';",
            "ALTER ROLE mattermost SUPERUSER;",
            "ALTER DATABASE mattermost RENAME TO x;",
            "DROP DATABASE mattermost;",
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p;",
            "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();",
            "CREATE SERVER s FOREIGN DATA WRAPPER w;",
            "DO $$ BEGIN END $$;",
            "CALL p();",
            "SELECT f();",
            "SELECT pg_catalog.pg_read_file('/etc/passwd');",
            "SELECT pg_catalog.set_config('role', 'postgres', false);",
            "SET client_encoding = 'SJIS';",
            "SET standard_conforming_strings = off;",
            "ROLLBACK;",
            "COMMIT AND CHAIN;",
            "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1';",
            "LOAD 'x';",
        ] {
            assert_eq!(verdict(sql, 15), Verdict::Refuse, "{sql}");
        }
    }
}
