//! Carries out the engine's effects in the model world.

use engine::{Effect, SignalPurpose};

use super::{Phase, Proc, Rig, Role};

impl Rig {
    #[expect(clippy::too_many_lines, reason = "one arm an effect")]
    pub(super) fn carry_out(&mut self, effect: &Effect, rest: &[Effect]) {
        match effect {
            Effect::Changed { service } => {
                assert!(
                    self.engine.record(*service).is_some(),
                    "no record of {service:?}"
                );
            }
            Effect::Spawn { service, run } | Effect::Validate { service, run } => {
                let main = matches!(effect, Effect::Spawn { .. });
                let role = if main { Role::Main } else { Role::Validator };
                // An effect that time withdraws within the same event belonged to the state before.
                let kill = Effect::Kill {
                    service: *service,
                    run: *run,
                };
                if main || !rest.contains(&kill) {
                    self.check_spawn(*service, role);
                }
                let refused = main && self.mains(*service).next().is_some();
                assert_eq!(self.engine.service_of(*run), Some(*service));
                let proc = Proc {
                    service: *service,
                    role,
                    phase: if main { Phase::Forking } else { Phase::Alive },
                    asked: false,
                    killed: false,
                    refused,
                };
                assert!(
                    self.procs.insert(*run, proc).is_none(),
                    "{run:?} is used twice"
                );
            }
            Effect::ReloadCommand { service, run, of } => {
                assert_eq!(self.procs[of].phase, Phase::Alive, "a reload of a dead run");
                let proc = Proc {
                    service: *service,
                    role: Role::Reload(*of),
                    phase: Phase::Alive,
                    asked: false,
                    killed: false,
                    refused: false,
                };
                assert!(
                    self.procs.insert(*run, proc).is_none(),
                    "{run:?} is used twice"
                );
            }
            Effect::Signal {
                service,
                run,
                purpose,
                ..
            } => {
                // A new control process only repeats a signal that was right when it was first
                // sent.
                let stop = *purpose == SignalPurpose::Stop;
                if stop && self.procs.get(run).is_some_and(|it| !it.asked) {
                    self.check_order(*service);
                    self.check_stop_order(*service);
                }
                let proc = self
                    .procs
                    .get_mut(run)
                    .expect("a signal to a run that exists");
                assert_eq!(proc.phase, Phase::Alive, "a signal to a dead run");
                proc.asked |= stop;
            }
            Effect::Kill { run, .. } => {
                let proc = self
                    .procs
                    .get_mut(run)
                    .expect("a kill of a run that exists");
                assert_ne!(proc.phase, Phase::Dead, "a kill of a dead run");
                assert!(!proc.killed || self.reborn, "killed twice");
                proc.killed = true;
                if proc.role != Role::Main && self.engine.service_of(*run).is_none() {
                    self.procs.remove(run); // Nobody waits for what is left of a reload.
                }
            }
            Effect::Probe { run, probe, .. } => {
                assert_eq!(self.procs[run].phase, Phase::Alive, "a probe of a dead run");
                assert!(self.probes.insert((*run, *probe)), "probes overlap");
            }
            Effect::Ended(ended) => self.check_end(ended),
            Effect::Forget { service } => {
                assert!(self.engine.view(*service).is_none());
                assert!(
                    !self.mains(*service).any(|_| true),
                    "forgotten while it runs"
                );
                self.specs.remove(service);
            }
            Effect::ShutdownComplete { clean } => {
                assert!(self.complete.is_none(), "complete twice");
                let lives = |it: &Proc| it.role == Role::Main && it.phase == Phase::Alive;
                assert!(
                    !clean || !self.procs.values().any(lives),
                    "said to be clean while something runs"
                );
                self.complete = Some(*clean);
            }
        }
    }
}
