//! One template of a service by itself, also of a disabled one: for files that another program
//! reads, and for tools that need a value as the service would get it.

use std::collections::BTreeMap;

use crate::{
    host::machine::Host,
    load::{
        inputs::{Inputs, read_inputs},
        options::Options,
    },
    model::Paths,
    read::{
        ident::ident,
        typed::{Typed, plain_text},
    },
    report::{
        place::Place,
        problem::{Problems, Report},
    },
    resolve::{locals::Locals, outcome::TemplateSource, resolver::Resolver},
    service::reader::Reader,
    site::values::SiteValue,
};

/// A setting of the service: key and value, for this one time.
pub type Instead<'a> = (&'a str, &'a str);

/// The text to render.
enum What<'a> {
    File(&'a str),
    Text(&'a str),
}

/// Renders `template`, a path below `services.d`, as a file of that service would be. `instead`:
/// settings that are taken to be these, whatever the site file says.
pub fn render_template(
    host: &dyn Host,
    options: &Options,
    service: &str,
    template: &str,
    instead: &[Instead<'_>],
) -> Result<String, Problems> {
    render(host, options, service, &What::File(template), instead)
}

/// Renders a text as a value in that service's file would be.
pub fn render_text(
    host: &dyn Host,
    options: &Options,
    service: &str,
    text: &str,
) -> Result<String, Problems> {
    render(host, options, service, &What::Text(text), &[])
}

fn render(
    host: &dyn Host,
    options: &Options,
    service: &str,
    what: &What<'_>,
    instead: &[Instead<'_>],
) -> Result<String, Problems> {
    let paths = Paths::new(options);
    let mut report = Report::default();
    let Inputs {
        schema, mut site, ..
    } = read_inputs(host, options, &paths, &mut report);
    let at = Place::whole(&paths.catalog_dir.join(format!("{service}.toml")));
    let namespace = ident(service);
    match schema.canonical(&namespace) {
        Some((canonical, found)) => {
            for (key, value) in instead {
                let setting = found.settings.get(*key);
                let parsed = setting.map(|it| Typed::parse(it.ty, value));
                let place = (canonical.clone(), (*key).to_owned());
                match parsed {
                    Some(Ok(value)) => {
                        let given = SiteValue {
                            value,
                            at: at.clone(),
                            by_section: None,
                        };
                        site.settings.insert(place, given);
                    }
                    Some(Err(why)) => drop(report.error(&at, *key, why)),
                    None => drop(report.error(&at, *key, "there is no such setting")),
                }
            }
        }
        None => drop(report.error(&at, "", format!("there is no service `{service}`"))),
    }
    let rendered = if report.has_errors() {
        None
    } else {
        let mut resolver = Resolver::new(host, &paths, &schema, &site, &mut report);
        one(&mut resolver, namespace, what, &at)
    };
    match rendered {
        Some(text) if !report.has_errors() => Ok(text),
        _ => Err(Problems(report.into_sorted())),
    }
}

fn one(
    resolver: &mut Resolver<'_>,
    namespace: String,
    what: &What<'_>,
    at: &Place,
) -> Option<String> {
    let mut reader = Reader {
        resolver,
        namespace,
        render: true,
        broken: None,
        locals: Locals::NONE,
        written: BTreeMap::new(),
    };
    let reader = &mut reader;
    let found = match what {
        What::File(name) => {
            let file = reader.template_file(name, at, name)?;
            reader.eval(&file.main.text, TemplateSource::File(&file), name, false)
        }
        What::Text(text) => reader.eval(text, TemplateSource::Value(at), "", false),
    };
    if let Some(reason) = reader.broken.take() {
        reader.report().error(at, "", reason);
    }
    found.map(|(value, _)| plain_text(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::machine::Machine;

    const PROXY: &str = "command = [\"/bin/true\"]\nenable = false\n[settings]\n\
        port = { type = \"port\", default = 80 }\nname = { type = \"string\" }\n";

    fn machine() -> (Machine, Options) {
        let mut machine = Machine::new();
        machine.shipped("my-proxy", PROXY);
        let options = Options {
            root: "/".into(),
            catalog: Some("/cat/services.d".into()),
        };
        (machine, options)
    }

    #[test]
    fn a_template_of_a_disabled_service_is_rendered_with_what_is_given_instead() {
        let (mut machine, options) = machine();
        machine.put(
            "/cat/services.d/p/a.j2",
            "{{ name }}:{{ port }}{% include \"p/b.j2\" %}",
        );
        machine.put("/cat/services.d/p/b.j2", " of {{ port }}\n");
        machine.site("my-proxy.name = \"site\"\n");
        let render = |instead: &[Instead<'_>]| {
            render_template(&machine, &options, "my-proxy", "p/a.j2", instead)
        };
        assert_eq!(render(&[]).unwrap(), "site:80 of 80\n");
        assert_eq!(
            render(&[("port", "81"), ("name", "x")]).unwrap(),
            "x:81 of 81\n"
        );
        let wrong = render(&[("port", "no")]).unwrap_err().to_string();
        assert!(wrong.contains("my-proxy.toml: error: port"), "{wrong}");
        let wrong = render(&[("prt", "1")]).unwrap_err().to_string();
        assert!(wrong.contains("no such setting"), "{wrong}");
    }

    #[test]
    fn what_cannot_be_rendered_says_why() {
        let (machine, options) = machine();
        let render = |text: &str| render_text(&machine, &options, "my-proxy", text);
        assert_eq!(render("{{ port }}").unwrap(), "80");
        let unset = render("{{ name }}").unwrap_err().to_string();
        assert!(unset.contains("needs `name`, which is not set"), "{unset}");
        let unknown = render("{{ nam }}").unwrap_err().to_string();
        assert!(unknown.contains("nam"), "{unknown}");
        let none = render_template(&machine, &options, "my-proxy", "p/none.j2", &[]);
        let none = none.unwrap_err().to_string();
        assert!(none.contains("there is no template `p/none.j2`"), "{none}");
        let nobody = render_text(&machine, &options, "other", "x").unwrap_err();
        assert!(nobody.to_string().contains("no service `other`"));
    }

    #[test]
    fn a_file_can_be_seen_with_another_text() {
        let (mut machine, options) = machine();
        machine.secrets("my-proxy.name = 'old'\n");
        let path = std::path::Path::new("/etc/mattervisor/secrets.toml");
        let host = crate::host::overlay::OverlayHost::new(
            &machine,
            path,
            "my-proxy.name = 'new'\n".to_owned(),
        );
        let name = |host: &dyn Host| render_text(host, &options, "my-proxy", "{{ name }}").unwrap();
        assert_eq!((name(&machine), name(&host)), ("old".into(), "new".into()));
    }
}
