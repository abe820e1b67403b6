//! The shape of the plan: loops, and the start order. Pure functions over adjacency maps.
//!
//! No function is recursive: a chain of fifty thousand services must not overflow the stack.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{ids::ServiceId, spec::Spec};

/// What a service depends on, and how strongly.
pub(crate) type Edges = BTreeMap<ServiceId, Edge>;

/// How one service depends on another. Every edge also orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Must be ready or completed; its stop also stops the dependent: `requires`, `binds_to`.
    pub(crate) strong: bool,
    /// Any way that it goes down takes the dependent down: `binds_to`.
    pub(crate) bound: bool,
}

/// The edges of a spec to services that exist; an edge to an unknown service constrains nothing.
pub(crate) fn edges(spec: &Spec, exists: impl Fn(ServiceId) -> bool) -> Edges {
    let mut edges = Edges::new();
    for id in spec.after.iter().chain(&spec.wants) {
        edges.insert(*id, Edge::default());
    }
    for id in &spec.requires {
        edges.insert(
            *id,
            Edge {
                strong: true,
                bound: false,
            },
        );
    }
    for id in &spec.binds_to {
        edges.insert(
            *id,
            Edge {
                strong: true,
                bound: true,
            },
        );
    }
    edges.retain(|id, _| exists(*id));
    edges
}

/// A loop in the graph, in order: each service depends on the next, the last on the first.
pub(crate) fn find_cycle(graph: &BTreeMap<ServiceId, Edges>) -> Option<Vec<ServiceId>> {
    let mut done = BTreeSet::new();
    for root in graph.keys() {
        if done.contains(root) {
            continue;
        }
        let mut path = Vec::from([*root]);
        let mut on_path = BTreeSet::from([*root]);
        let mut todo = Vec::from([neighbours(graph, *root)]);
        while let Some(rest) = todo.last_mut() {
            match rest.pop() {
                Some(next) if on_path.contains(&next) => {
                    let from = path.iter().position(|id| *id == next).unwrap_or(0);
                    return Some(path.split_off(from));
                }
                Some(next) if done.contains(&next) => {}
                Some(next) => {
                    path.push(next);
                    on_path.insert(next);
                    todo.push(neighbours(graph, next));
                }
                None => {
                    todo.pop();
                    if let Some(id) = path.pop() {
                        on_path.remove(&id);
                        done.insert(id);
                    }
                }
            }
        }
    }
    None
}

fn neighbours(graph: &BTreeMap<ServiceId, Edges>, id: ServiceId) -> Vec<ServiceId> {
    graph
        .get(&id)
        .into_iter()
        .flat_map(BTreeMap::keys)
        .copied()
        .collect()
}

/// Orders dependencies before dependents; ties by number.
pub(crate) fn start_order(graph: &BTreeMap<ServiceId, Edges>) -> Vec<ServiceId> {
    let mut left: BTreeMap<ServiceId, usize> =
        graph.iter().map(|(id, edges)| (*id, edges.len())).collect();
    let mut dependents: BTreeMap<ServiceId, Vec<ServiceId>> = BTreeMap::new();
    for (id, edges) in graph {
        for dependency in edges.keys() {
            dependents.entry(*dependency).or_default().push(*id);
        }
    }
    let mut free: BTreeSet<ServiceId> = left
        .iter()
        .filter(|(_, n)| **n == 0)
        .map(|(id, _)| *id)
        .collect();
    let mut order = Vec::new();
    while let Some(id) = free.pop_first() {
        order.push(id);
        for dependent in dependents.get(&id).into_iter().flatten() {
            if let Some(n) = left.get_mut(dependent) {
                *n -= 1;
                if *n == 0 {
                    free.insert(*dependent);
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(u32, &[u32])]) -> BTreeMap<ServiceId, Edges> {
        let to = |ids: &[u32]| {
            ids.iter()
                .map(|id| (ServiceId(*id), Edge::default()))
                .collect()
        };
        edges
            .iter()
            .map(|(id, ids)| (ServiceId(*id), to(ids)))
            .collect()
    }

    fn ids(ids: &[u32]) -> Vec<ServiceId> {
        ids.iter().copied().map(ServiceId).collect()
    }

    #[test]
    fn cycle_is_returned_as_the_loop_alone() {
        let loops = graph(&[(0, &[1]), (1, &[2, 4]), (2, &[3]), (3, &[1]), (4, &[])]);
        assert_eq!(find_cycle(&loops), Some(ids(&[1, 2, 3])));
        assert_eq!(find_cycle(&graph(&[(5, &[5])])), Some(ids(&[5])));
        assert_eq!(
            find_cycle(&graph(&[(0, &[1, 2]), (1, &[2]), (2, &[])])),
            None
        );
    }

    /// peers' behaviour 41
    #[test]
    fn cycle_of_very_many_is_found_without_recursion() {
        let mut chain: BTreeMap<ServiceId, Edges> = (0..50_000)
            .map(|id| {
                (
                    ServiceId(id),
                    Edges::from([(ServiceId(id + 1), Edge::default())]),
                )
            })
            .collect();
        chain.insert(ServiceId(50_000), Edges::new());
        assert_eq!(find_cycle(&chain), None);
        chain.insert(
            ServiceId(50_000),
            Edges::from([(ServiceId(49_981), Edge::default())]),
        );
        assert_eq!(find_cycle(&chain).map(|ids| ids.len()), Some(20));
    }

    #[test]
    fn start_order_puts_dependencies_first() {
        let graph = graph(&[(0, &[2]), (1, &[0]), (2, &[]), (3, &[])]);
        assert_eq!(start_order(&graph), ids(&[2, 0, 1, 3]));
    }
}
