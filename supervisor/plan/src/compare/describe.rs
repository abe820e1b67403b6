//! A plan for people: each key of a service with its value and where that comes from. No secret
//! is in it.

use crate::{
    model::{NotifyBy, NotifyTarget, Plan, Service},
    service::{described::Described, keys},
};

pub use crate::service::described::Shown;

/// The keys of a service, in the order of the reference.
pub fn service(service: &Service) -> Vec<Shown> {
    let mut out = Described::of(service);
    for key in keys::all().filter(|key| service.enabled || key.of_disabled) {
        (key.describe)(service, &mut out);
    }
    out.put(
        "broken",
        service.broken.as_ref().filter(|_| service.enabled),
    );
    out.list
}

/// Settings of the supervisor itself in the site file.
pub fn site(plan: &Plan) -> Vec<Shown> {
    let mut out = Described::default();
    out.put("control.admin_group", plan.control.admin_group.as_ref());
    out.put("control.viewer_group", plan.control.viewer_group.as_ref());
    out.put("manage_accounts.enable", plan.manage_accounts);
    for NotifyTarget { name, by, on } in &plan.notify {
        let key = |what: &str| format!("notify.{name}.{what}");
        match by {
            NotifyBy::Webhook(_) => out.hide(key("webhook"), None),
            NotifyBy::Command(argv) => out.put(key("command"), argv),
            NotifyBy::Sendmail { to, from } => {
                out.put(key("sendmail"), to);
                out.put(key("from"), from.as_ref());
            }
        }
        out.put(key("on"), on);
    }
    out.list
}
