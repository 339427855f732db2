//! The chain rule as sums of products of factors, each with its name and its number.

use chainrule_core::layers::Source;
use serde::Serialize;

use super::Stage;
use super::names::Names;
use super::trace::{Partial, Trace};

/// Terms of a sum that are written out; the others are added up in one number.
pub(super) const MAX_TERMS: usize = 4;

/// Outputs of a layer whose derivatives are written out.
pub(super) const MAX_UNITS: usize = 8;

/// `dy/dh1` and its number.
#[derive(Clone, Debug, Serialize)]
pub struct Factor {
    /// What it is.
    pub name: String,
    /// Its number.
    pub value: f64,
}

/// One path from a parameter or an output to the loss.
#[derive(Clone, Debug, Serialize)]
pub struct Term {
    /// From the loss down.
    pub factors: Vec<Factor>,
    /// Their product, from left to right.
    pub value: f64,
}

/// The terms of a sum that are not written out.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rest {
    /// How many.
    pub terms: usize,
    /// Their sum.
    pub value: f64,
}

/// A derivative of the loss, as the sum of its terms. Without any, the loss does not depend on it.
#[derive(Clone, Debug, Serialize)]
pub struct Derivative {
    /// `dL/dw1`.
    pub name: String,
    /// The terms, all or the largest.
    pub terms: Vec<Term>,
    /// The others.
    pub rest: Option<Rest>,
    /// The sum, from the first term to the last, then the rest.
    pub value: f64,
}

impl Term {
    fn new(factors: Vec<Factor>) -> Self {
        let value = factors.iter().map(|factor| factor.value).reduce(|product, value| product * value);
        Self { factors, value: value.unwrap_or(1.0) }
    }
}

impl Derivative {
    fn new(name: String, mut terms: Vec<Term>) -> Self {
        let mut rest = None;
        if terms.len() > MAX_TERMS {
            let mut order: Vec<usize> = (0..terms.len()).collect();
            order.sort_by(|&a, &b| terms[b].value.abs().total_cmp(&terms[a].value.abs()));
            let shown = &order[..MAX_TERMS];
            let (largest, others): (Vec<_>, Vec<_>) =
                terms.into_iter().enumerate().partition(|(index, _)| shown.contains(index));
            rest = Some(Rest {
                terms: others.len(),
                value: others.iter().map(|(_, term)| term.value).sum::<f64>(),
            });
            terms = largest.into_iter().map(|(_, term)| term).collect();
        }
        let values = terms.iter().map(|term| term.value).chain(rest.map(|rest| rest.value));
        let value = values.reduce(|sum, value| sum + value).unwrap_or(0.0);
        Self { name, terms, rest, value }
    }
}

/// How the loss depends on one output of a layer.
#[derive(Clone, Debug)]
struct Unit {
    derivative: Derivative,
    /// The factors of the only path to the loss, if there is but one and it was followed.
    path: Option<Vec<Factor>>,
}

/// The last factors of a path to a parameter or an output.
#[derive(Clone, Debug)]
struct Link {
    /// `dL/dv · dv/du`.
    factors: Vec<Factor>,
    /// All factors from the loss down, if only one path leads there and it was followed.
    path: Option<Vec<Factor>>,
}

/// The derivatives of the loss by the outputs of all layers, as far as they are written out.
#[derive(Debug)]
pub(super) struct Chains<'a> {
    stages: &'a [Stage],
    names: &'a Names,
    trace: &'a Trace<'a>,
    /// By layer and output.
    units: Vec<Vec<Option<Unit>>>,
}

impl<'a> Chains<'a> {
    /// Nothing written out yet but `dL/dy` of the network's outputs, which the loss gives.
    pub(super) fn new(stages: &'a [Stage], names: &'a Names, trace: &'a Trace<'a>) -> Self {
        let mut chains = Self {
            stages,
            names,
            trace,
            units: stages.iter().map(|stage| vec![None; stage.width()]).collect(),
        };
        let last = stages.len() - 1;
        for (unit, &value) in trace.dy[last].iter().enumerate() {
            let factor = Factor { name: format!("dL/d{}", chains.unit_name(last, unit)), value };
            let derivative = Derivative { name: factor.name.clone(), terms: Vec::new(), rest: None, value };
            chains.units[last][unit] = Some(Unit { derivative, path: Some(vec![factor]) });
        }
        chains
    }

    fn unit_name(&self, stage: usize, unit: usize) -> String {
        self.names.unit(self.stages, stage, unit)
    }

    /// Writes out `dL/du` for some outputs of a layer, by the layers that read them: `Σ_i dL/dv_i · dv_i/du`. Layers
    /// come from the last to the first.
    pub(super) fn write_out(&mut self, stage: usize, units: &[usize]) {
        let mut terms: Vec<Vec<Link>> = vec![Vec::new(); units.len()];
        for (reader, reading) in self.stages.iter().enumerate().skip(stage + 1) {
            if !reading.inputs.contains(&Source::Node(stage)) {
                continue;
            }
            let Some(rows) = self.trace.partials(reader, &[], Some((stage, units))) else { return };
            for (output, row) in rows.iter().enumerate() {
                for ((partial, &unit), terms) in row.iter().zip(units).zip(&mut terms) {
                    if partial.depends {
                        let by = self.unit_name(stage, unit);
                        terms.push(self.link(reader, output, &by, *partial));
                    }
                }
            }
        }
        for (&unit, terms) in units.iter().zip(terms) {
            let name = format!("dL/d{}", self.unit_name(stage, unit));
            let path = match terms.as_slice() {
                [only] => only.path.clone(),
                _ => None,
            };
            let terms = terms.into_iter().map(|link| Term::new(link.factors)).collect();
            self.units[stage][unit] = Some(Unit { derivative: Derivative::new(name, terms), path });
        }
    }

    /// `dL/dv · dv/d(by)` for output `v` of a layer, and the same as a whole path where there is one.
    fn link(&self, stage: usize, output: usize, by: &str, partial: Partial) -> Link {
        let name = self.unit_name(stage, output);
        let own = Factor { name: format!("d{name}/d{by}"), value: partial.value };
        let unit = self.units[stage][output].as_ref();
        let value = unit.map_or(self.trace.dy[stage][output], |unit| unit.derivative.value);
        let path = unit.and_then(|unit| unit.path.clone());
        let path = path.map(|path| path.into_iter().chain([own.clone()]).collect());
        Link { factors: vec![Factor { name: format!("dL/d{name}"), value }, own], path }
    }

    /// The derivative by one parameter of a layer, given its part in the slope of every output of the layer: along
    /// the whole path, if there is but one.
    pub(super) fn parameter(
        &self,
        stage: usize,
        name: &str,
        partials: impl Iterator<Item = Partial>,
    ) -> Derivative {
        let depends = partials.enumerate().filter(|(_, partial)| partial.depends);
        let mut terms: Vec<_> =
            depends.map(|(output, partial)| self.link(stage, output, name, partial)).collect();
        let of = format!("dL/d{name}");
        if let [Link { path: Some(path), .. }] = terms.as_mut_slice() {
            let path = std::mem::take(path);
            return Derivative::new(of, vec![Term::new(path)]);
        }
        Derivative::new(of, terms.into_iter().map(|link| Term::new(link.factors)).collect())
    }

    /// The derivatives by outputs of a layer that were written out, in order.
    pub(super) fn written(&self, stage: usize) -> Vec<Derivative> {
        self.units[stage].iter().flatten().map(|unit| unit.derivative.clone()).take(MAX_UNITS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(value: f64) -> Term {
        Term::new(vec![Factor { name: "dL/dy".into(), value }, Factor { name: "dy/dw".into(), value: 2.0 }])
    }

    #[test]
    fn a_long_sum_keeps_its_largest_terms_and_its_value() {
        let values = [1.0, -8.0, 0.5, 4.0, 3.0, 2.0];
        let sum = Derivative::new("dL/dw".into(), values.iter().map(|&value| term(value)).collect());
        let shown: Vec<f64> = sum.terms.iter().map(|term| term.value).collect();
        assert_eq!(shown, [-16.0, 8.0, 6.0, 4.0]);
        assert!(matches!(sum.rest, Some(Rest { terms: 2, value: 3.0 })));
        assert_eq!(sum.value, 5.0);
    }

    #[test]
    fn what_the_loss_does_not_depend_on_has_the_derivative_zero() {
        let none = Derivative::new("dL/dw".into(), Vec::new());
        assert!(none.terms.is_empty() && none.rest.is_none() && none.value == 0.0);
    }
}
