//! Jobs that a plan needs on its way: loading, accounts, candidates, the swap, and what each start
//! has to know.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use plan::{Plan, Problem, Severity};

use crate::{
    accounts::{Accounts, MakeCommand},
    control::{
        input::{Done, Swap},
        simulation::{
            disk::{back_to, loaded},
            jobs::Jobs,
        },
    },
    credentials::NotLaid,
    load_plan::{Loaded, NotLoaded, Source},
    lookups::Lookups,
    plan_store::Swapped,
    prepare::{Outcome, Prepared, Resolved, Start},
    staging::{Broken, Staged, StagedFile},
    unready::Unready,
};

impl Jobs {
    /// Exactly the files that have changed are put in place.
    pub(super) fn judge_swap(&self, plan: &Plan, staged: &[StagedFile]) {
        let staged: BTreeSet<_> = staged.iter().map(|file| file.candidate.clone()).collect();
        let changed = self.changed(plan).into_iter().map(|file| file.candidate);
        assert_eq!(
            staged,
            changed.collect(),
            "the candidates are of another plan"
        );
    }

    pub(super) fn changed(&self, plan: &Plan) -> Vec<StagedFile> {
        let enabled = plan.services.values().filter(|service| service.enabled);
        let files = enabled.flat_map(|service| service.files.iter().map(move |it| (service, it)));
        let changed = files.filter(|(_, it)| self.disk.files.get(&it.path) != Some(&it.content));
        let staged = changed.map(|(service, file)| StagedFile {
            service: service.name.clone(),
            candidate: file.path.with_extension(&file.content),
            path: file.path.clone(),
            user: None,
            altered: true,
            validate: file.validate.clone(),
        });
        staged.collect()
    }

    /// And nothing is in place.
    pub(super) fn swap_on_full_disk(&mut self, swap: &Swap) -> Done {
        self.disk.discard(&swap.staged);
        self.disk.was_full |= swap.before.is_none();
        Done::Swapped(Err("no space left on device".to_owned()))
    }

    pub(super) fn prepare(&mut self, start: &Start) -> Outcome {
        let laid = match start.needs.credentials {
            Some(_) => self.lay(),
            None => Ok(()),
        };
        let in_use = start.in_use.iter();
        let ending = in_use.filter(|it| it.ending).map(|it| it.run).next();
        Ok(Prepared {
            laid,
            in_use_by: ending.filter(|_| self.dice.percent(60)),
            ..Prepared::of(self.resolve(&start.service)?)
        })
    }

    fn lay(&mut self) -> Result<(), NotLaid> {
        let why = NotLaid {
            reason: "cannot read /simulated/key: it is not there".to_owned(),
            earlier: self.dice.percent(50),
        };
        let failed = !self.fair && self.dice.percent(15);
        if failed { Err(why) } else { Ok(()) }
    }

    pub(super) fn load(&mut self, source: &Source) -> Result<Loaded, NotLoaded> {
        match source {
            Source::Kept(running) => return self.disk.kept_before(running),
            Source::Before(before) => {
                self.ways_back += 1;
                return Ok(back_to(before.plan.clone()));
            }
            Source::Files(_) | Source::FilesAsTheyAre(_) | Source::FirstFiles => {}
        }
        let odds = if self.disk.stored.is_some() { 10 } else { 1 };
        if !self.fair && self.dice.percent(odds) {
            return Err(NotLoaded::Problems(vec![problem()]));
        }
        Ok(loaded(self.disk.site.clone()))
    }

    pub(super) fn swap(&mut self, swap: &Swap) -> Swapped {
        self.disk.put(&swap.staged);
        self.disk.was_full = false;
        self.disk.stored = Some(Plan::clone(&swap.plan));
        if let Some((before, ..)) = &swap.before {
            self.disk.keep(before, true);
        }
        Swapped {
            rollback: None,
            has_worked: self.disk.kept.contains(&swap.plan),
            stored: true,
            spoiled: BTreeMap::new(),
        }
    }

    pub(super) fn accounts(&mut self) -> Accounts {
        let count = self.dice.pick(&[0, 0, 0, 1, 2]);
        let command = |_| MakeCommand {
            services: vec!["s0".to_owned()],
            what: "user s0".to_owned(),
            argv: vec!["/simulated/account".to_owned()],
        };
        let mut accounts = Accounts {
            commands: (0..count).map(command).collect(),
            ..Accounts::default()
        };
        if !self.fair && self.dice.percent(5) {
            let why = "uid 7 belongs to user other".to_owned();
            accounts.clashes.insert("s0".to_owned(), why);
        }
        accounts
    }

    pub(super) fn stage(&mut self, plan: &Plan) -> Staged {
        let enabled = plan.services.values().filter(|service| service.enabled);
        let mut staged = Staged {
            files: self.changed(plan),
            zone: Some(jiff::tz::TimeZone::UTC),
            ..Staged::default()
        };
        for file in enabled.clone().flat_map(|service| &service.files) {
            self.disk.candidates.remove(&file.path);
        }
        let candidates = staged.files.iter().map(|file| file.path.clone());
        self.disk.candidates.extend(candidates);
        for service in enabled {
            let resolved = self.resolve(service);
            staged.resolved.insert(service.name.clone(), resolved);
            if !self.fair && self.dice.percent(2) {
                let why = "cannot make its directory".to_owned();
                let own = self.dice.percent(50).then(PathBuf::new);
                staged
                    .broken
                    .insert(service.name.clone(), Broken { why, own });
            }
        }
        staged
    }

    /// The program's name tells for which edition of the plan it was looked up.
    fn resolve(&mut self, service: &plan::Service) -> Result<Arc<Resolved>, Unready> {
        if !self.fair && self.dice.percent(8) {
            return Err(if self.dice.percent(30) {
                Unready::passing("nobody can say whether there is such a user".to_owned())
            } else {
                Unready::lasting("there is no such user".to_owned())
            });
        }
        let found = crate::prepare::resolve(service, &Lookups::default())?;
        Ok(Arc::new(Resolved {
            program: service.command[1].clone(),
            ..found
        }))
    }
}

fn problem() -> Problem {
    Problem {
        severity: Severity::Error,
        file: "/nonexistent/site.toml".into(),
        line: Some(1),
        column: None,
        key: "external_url".to_owned(),
        message: "is not a URL".to_owned(),
        hint: None,
        variable: None,
        denied: false,
    }
}
