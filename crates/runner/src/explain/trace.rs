//! One sample through the network, layer by layer, and the slopes of single outputs.

use chainrule_core::layers::Source;
use chainrule_core::loss::Weighted;
use chainrule_core::{Masking, Pass, Rows, RowsMut, Targets};

use super::Stage;

/// Multiply-adds that the slopes of one layer may cost; beyond, they are left out.
const MAX_WORK: usize = 1 << 31;

/// The numbers of one sample: what every layer read, gave, and was told on the way back.
#[derive(Debug)]
pub(super) struct Trace<'a> {
    stages: &'a [Stage],
    theta: &'a [f64],
    x: &'a [f64],
    /// Which positions of the sample count, if some are padding.
    mask: Option<Vec<f64>>,
    /// The output of every layer.
    pub(super) y: Vec<Vec<f64>>,
    /// The derivative of the loss by it.
    pub(super) dy: Vec<Vec<f64>>,
    /// The derivative of the loss by the network's input.
    pub(super) dx: Vec<f64>,
    tapes: Vec<Vec<f64>>,
    /// The loss.
    pub(super) loss: f64,
}

/// What a layer makes of a `dy`.
#[derive(Debug)]
struct Pulled {
    /// For each input.
    dx: Vec<Vec<f64>>,
    dtheta: Vec<f64>,
}

/// A partial derivative of one output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partial {
    pub(super) value: f64,
    /// Whether there is a path at all: a factor may be zero at this sample only.
    pub(super) depends: bool,
}

impl<'a> Trace<'a> {
    /// Runs the sample forward, through the loss, and back.
    pub(super) fn new(
        stages: &'a [Stage],
        theta: &'a [f64],
        x: &'a [f64],
        (loss, masking): (&Weighted<f64>, Option<Masking>),
        targets: Targets<'_, f64>,
    ) -> Self {
        let mask = masking.map(|masking| {
            let mut mask = vec![0.0; masking.positions];
            masking.fill(Rows::new(x, x.len()), &mut mask);
            mask
        });
        let mut trace = Self {
            mask,
            stages,
            theta,
            x,
            y: Vec::new(),
            dy: stages.iter().map(|stage| vec![0.0; stage.width()]).collect(),
            dx: vec![0.0; x.len()],
            tapes: Vec::new(),
            loss: 0.0,
        };
        for stage in stages {
            let mut y = vec![0.0; stage.width()];
            let mut tape = vec![0.0; stage.layer.tape().for_rows(1)];
            let inputs = trace.inputs(stage);
            let output = RowsMut::new(&mut y, stage.width());
            stage.layer.forward(
                &theta[stage.theta.clone()],
                &inputs,
                output,
                &mut tape,
                &mut stage.context(trace.mask()),
            );
            trace.y.push(y);
            trace.tapes.push(tape);
        }
        let last = stages.len() - 1;
        let y = Rows::new(&trace.y[last], stages[last].width());
        let dy = RowsMut::new(&mut trace.dy[last], stages[last].width());
        let mut totals = Vec::new();
        trace.loss = loss.gradient(Rows::new(x, x.len()), y, targets, dy, &mut totals).mean();
        for index in (0..stages.len()).rev() {
            let pulled = trace.pull(index, &trace.dy[index]);
            for (source, dx) in stages[index].inputs.iter().zip(pulled.dx) {
                // The sum rule: an output that feeds several layers adds up what they tell it.
                let sum = match *source {
                    Source::Input(_) => &mut trace.dx,
                    Source::Node(node) => &mut trace.dy[node],
                };
                sum.iter_mut().zip(dx).for_each(|(sum, dx)| *sum += dx);
            }
        }
        trace
    }

    fn mask(&self) -> Option<Rows<'_, f64>> {
        self.mask.as_ref().map(|mask| Rows::new(mask, mask.len()))
    }

    /// What a layer reads.
    pub(super) fn inputs(&self, stage: &Stage) -> Vec<Rows<'_, f64>> {
        let row = |source: &Source| {
            let data = match *source {
                Source::Input(_) => self.x,
                Source::Node(node) => &self.y[node],
            };
            Rows::new(data, data.len())
        };
        stage.inputs.iter().map(row).collect()
    }

    /// The layer's own backward and accumulate for a given `dy`.
    fn pull(&self, index: usize, dy: &[f64]) -> Pulled {
        let stage = &self.stages[index];
        let (theta, width) = (&self.theta[stage.theta.clone()], stage.width());
        let (inputs, y) = (self.inputs(stage), Rows::new(&self.y[index], width));
        // Backward may use up the tape and `dy`.
        let (mut tape, mut dy) = (self.tapes[index].clone(), dy.to_vec());
        let mut dx: Vec<Vec<f64>> = inputs.iter().map(|input| vec![0.0; input.width()]).collect();
        let mut dtheta = vec![0.0; theta.len()];
        let mut lent: Vec<_> = dx
            .iter_mut()
            .map(|dx| {
                let width = dx.len();
                Some(RowsMut::new(dx, width))
            })
            .collect();
        let pass = Pass { inputs: &inputs, y, tape: &mut tape };
        stage.layer.backward(
            theta,
            pass,
            RowsMut::new(&mut dy, width),
            &mut lent,
            &mut stage.context(self.mask()),
        );
        let pass = Pass { inputs: &inputs, y, tape: &mut tape };
        stage.layer.accumulate(
            theta,
            pass,
            Rows::new(&dy, width),
            &mut dtheta,
            &mut stage.context(self.mask()),
        );
        Pulled { dx, dtheta }
    }

    /// The partial derivatives of every output of a layer by some of its parameters and some outputs of the layer
    /// `below`; `None` if that is too much work. A row an output: first the parameters, then the outputs below.
    ///
    /// The layer's own way back computes them: for `dy` one at one output and zero elsewhere, `dx` and `dtheta` are
    /// that output's slopes. With NaN in place of the one, NaN comes out wherever there is a path, be its factor zero.
    pub(super) fn partials(
        &self,
        index: usize,
        parameters: &[usize],
        below: Option<(usize, &[usize])>,
    ) -> Option<Vec<Vec<Partial>>> {
        let stage = &self.stages[index];
        let width = stage.width();
        let pass = stage.layer.multiply_adds().saturating_add(stage.theta.len()).saturating_add(width);
        if width.saturating_mul(pass) > MAX_WORK {
            return None;
        }
        let row = |output: usize| {
            let probe = |seed: f64| {
                let mut dy = vec![0.0; width];
                dy[output] = seed;
                select(stage, &self.pull(index, &dy), parameters, below)
            };
            let partial =
                |(value, path): (f64, f64)| Partial { value, depends: value != 0.0 || path.is_nan() };
            probe(1.0).into_iter().zip(probe(f64::NAN)).map(partial).collect()
        };
        Some((0..width).map(row).collect())
    }
}

/// The wanted numbers of a pull; an output that is read twice has both slopes added.
fn select(
    stage: &Stage,
    pulled: &Pulled,
    parameters: &[usize],
    below: Option<(usize, &[usize])>,
) -> Vec<f64> {
    let mut selected: Vec<f64> = parameters.iter().map(|&parameter| pulled.dtheta[parameter]).collect();
    if let Some((node, units)) = below {
        let slots =
            || stage.inputs.iter().zip(&pulled.dx).filter(|(source, _)| **source == Source::Node(node));
        selected.extend(units.iter().map(|&unit| slots().map(|(_, dx)| dx[unit]).sum::<f64>()));
    }
    selected
}
