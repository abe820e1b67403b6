//! Resource usage of services for a client: measured on a blocking thread, one look at a time.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use api::StatusReply;

use super::Shared;
use crate::usage::{Target, Usage};

impl Shared {
    /// Fills in CPU and memory where there is a process.
    pub(super) async fn add_usage(&self, status: &mut StatusReply) {
        let usage = self.usage(status, true).await;
        for service in &mut status.services {
            if let Some(usage) = usage.get(&service.name) {
                service.cpu_percent = usage.cpu_percent.map(tenths);
                service.memory_bytes = Some(usage.memory_bytes);
            }
        }
    }

    /// Usage of the services of a status, by name.
    pub(super) async fn usage(
        &self,
        status: &StatusReply,
        percent: bool,
    ) -> BTreeMap<String, Usage> {
        let running = status.services.iter().filter_map(|service| {
            Some(Target {
                name: service.name.clone(),
                pid: service.pid?,
            })
        });
        let targets: Vec<Target> = running.collect();
        let keeper = status.supervisor.keeper_pid;
        let meter = Arc::clone(&self.meter);
        let looked = tokio::task::spawn_blocking(move || {
            let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
            meter.measure(&targets, keeper, percent)
        });
        looked.await.unwrap_or_else(|error| {
            tracing::error!("cannot see what services use: {error}");
            BTreeMap::new()
        })
    }
}

/// More digits than the kernel's counts carry would only pretend.
fn tenths(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}
