//! Any content of the files yields an answer and no panic.

use proptest::prelude::*;

use super::Machine;

/// Fragments that lead deep into the reader.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("command = [\"/bin/a\", \"{{ x }}\"]\n".to_owned()),
        Just("[settings]\n".to_owned()),
        Just("[[files]]\n".to_owned()),
        Just("[ready]\n".to_owned()),
        Just("[restart]\n".to_owned()),
        ("[a-z_]{1,12}", "(\"[^\"\\\\\n]{0,12}\"|-?[0-9]{1,22}|true|\\[\\]|\\{\\}|[0-9]\\.[0-9]{1,5})")
            .prop_map(|(key, value)| format!("{key} = {value}\n")),
        (
            prop::sample::select(crate::service::keys::names()),
            "(\"[^\"\\\\\n]{0,8}\"|-?[0-9]{1,5}|true|false|\\[\"\\{\\{ x \\}\\}\", 3\\]|\\{ a = 1, path = \"/x\" \\})"
        )
            .prop_map(|(key, value)| format!("{key} = {value}\n")),
        Just("x = { type = \"list\", default = [\"{{ y }}\"], env = \"X\" }\n".to_owned()),
        Just("y = { type = \"path\", find = [\"/*/{{ x }}\"], version_file = \"/v\" }\n".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn random_bytes_never_panic(
        service in prop::collection::vec(any::<u8>(), 0..200),
        site in prop::collection::vec(any::<u8>(), 0..200),
        template in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut machine = Machine::new();
        machine.put("/cat/services.d/a.toml", service);
        machine.put("/etc/mattervisor/mattervisor.toml", site);
        machine.shipped("b", "command = ['/b']\n[[files]]\npath = '/x'\ntemplate = 't'\n");
        machine.put("/cat/services.d/t", template);
        let _ = machine.load();
    }

    #[test]
    fn random_toml_never_panics(
        service in prop::collection::vec(fragment(), 0..12),
        catalog in prop::collection::vec(fragment(), 0..6),
        site in prop::collection::vec(fragment(), 0..6),
    ) {
        let mut machine = Machine::new();
        machine.shipped("a", &service.concat());
        machine.catalog(&catalog.concat());
        machine.site(&site.concat());
        let _ = machine.load();
    }

    #[test]
    fn random_templates_never_panic(template in "(\\{\\{|\\}\\}|\\{%|%\\}| if | x |\\.|\\||\"|[a-z]|é|\n){0,20}") {
        let mut machine = Machine::new();
        machine.shipped("b", "command = ['/b']\n[settings]\nx = {}\n[[files]]\npath = '/x'\ntemplate = 't'\n");
        machine.put("/cat/services.d/t", &template);
        machine.shipped("c", &format!("command = ['/b']\n[env]\nA = {}\n", toml::Value::from(template.as_str())));
        let _ = machine.load();
    }
}
