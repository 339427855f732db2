//! The losses of several outputs, added up with weights.

use super::masked;
use crate::{Error, Float, Loss, MAX_INPUTS, Masking, Rows, RowsMut, Shape, TargetKind, Targets, Total};

/// The loss of one output of a network, and how much it counts.
#[derive(Debug)]
pub struct OutputLoss<F> {
    /// What the output is called: the layer that gives it; nothing, if it is the only one.
    pub name: String,
    /// The shape of one sample of it.
    pub shape: Shape,
    /// How far it is from its targets.
    pub loss: Box<dyn Loss<F>>,
    /// The factor of its mean loss in the sum, above 0.
    pub weight: f64,
}

impl<F: Float> OutputLoss<F> {
    /// How many targets one sample has.
    pub fn targets_per_sample(&self) -> usize {
        match self.loss.target_kind() {
            TargetKind::Values => self.shape.len(),
            TargetKind::Classes(classes) => self.shape.len() / classes,
        }
    }

    /// The sum of its terms; writes the gradient of its weighted mean to `dy`.
    #[inline(always)]
    fn gradient(&self, y: Rows<'_, F>, targets: Targets<'_, F>, dy: RowsMut<'_, F>) -> Total {
        // A view of its own: a copy of one that was just written is waited for.
        let terms = self.loss.terms(Rows::counted(y.data(), y.len(), y.width()));
        let sum = self.loss.gradient(y, targets, F::of(self.weight / terms), dy);
        Total { sum, terms }
    }

    /// Its own total as it counts in the sum.
    #[inline(always)]
    pub(crate) fn weighted(&self, own: Total) -> Total {
        Total { sum: self.weight * own.sum, terms: own.terms }
    }

    /// Whether it has a row for each of so many positions.
    fn has_rows(&self, positions: usize) -> bool {
        let axes = self.shape.axes();
        axes.len() > 1 && axes[0] == positions
    }
}

/// `L = Σ_k w_k L_k`, where `L_k` is the mean loss of output `k`, whose blocks lie one after the other as
/// [`Bundle`](crate::layers::Bundle) writes them.
///
/// # Derivation
/// No output is in another's loss, so `∂L/∂y_k = w_k ∂L_k/∂y_k`: each loss writes its own block of `dy`, with `w_k` over
/// its own number of terms as the scale.
///
/// The means have different numbers of terms, so the sums of parts of a data set are kept apart, output by output, and
/// are divided and weighted once at the end.
#[derive(Debug)]
pub struct Weighted<F> {
    outputs: Vec<OutputLoss<F>>,
    /// Which positions the losses leave out: of outputs with a row for each position of the input.
    masking: Option<Masking>,
}

impl<F: Float> Weighted<F> {
    /// The weighted sum of the losses of the blocks of `found`.
    ///
    /// # Errors
    /// [`Error::LossShape`] if a loss needs groups of classes that its output is not made of, or the outputs together are
    /// not `found`; [`Error::InputCount`] if there is none, or more than 16; [`Error::LossWeight`].
    pub fn new(outputs: Vec<OutputLoss<F>>, found: &Shape) -> Result<Self, Error> {
        if outputs.is_empty() || outputs.len() > MAX_INPUTS {
            let (layer, expected) = ("a sum of losses", "1 to 16 outputs");
            return Err(Error::InputCount { layer, expected, found: outputs.len() });
        }
        let unfit = |need, found: &Shape| Error::LossShape { loss: "the loss", need, found: found.clone() };
        for OutputLoss { name, shape, loss, weight } in &outputs {
            if !(weight.is_finite() && *weight > 0.0) {
                return Err(Error::LossWeight { output: name.clone(), weight: weight.to_string() });
            }
            if let TargetKind::Classes(classes) = loss.target_kind()
                && shape.last() != classes
            {
                return Err(unfit("a score for every class", shape));
            }
        }
        let width = outputs.iter().map(|output| output.shape.len()).fold(0, usize::saturating_add);
        match width == found.len() {
            true => Ok(Self { outputs, masking: None }),
            false => Err(unfit("the outputs that it judges, one after the other", found)),
        }
    }

    /// The same losses of samples that are padded.
    pub(crate) fn with_masking(self, masking: Masking) -> Self {
        Self { masking: Some(masking), ..self }
    }

    /// The outputs, in the order of their blocks.
    pub fn outputs(&self) -> &[OutputLoss<F>] {
        &self.outputs
    }

    /// The output, if it is the only one and no position is left out.
    #[inline(always)]
    pub(crate) fn only(&self) -> Option<&OutputLoss<F>> {
        match (&self.outputs[..], self.masking) {
            ([only], None) => Some(only),
            _ => None,
        }
    }

    /// The loss, from the sums of its outputs over the same samples.
    pub fn of(&self, totals: &[Total]) -> f64 {
        self.outputs.iter().zip(totals).map(|(output, total)| output.weight * total.mean()).sum()
    }

    /// The loss of one batch `y` for inputs `x`; writes the sum of each output to `totals`.
    #[inline]
    pub fn value(
        &self,
        x: Rows<'_, F>,
        y: Rows<'_, F>,
        targets: Targets<'_, F>,
        totals: &mut Vec<Total>,
    ) -> Total {
        totals.clear();
        let rows = y.len();
        let mut rest = y.data();
        for (index, output) in self.outputs.iter().enumerate() {
            let width = output.shape.len();
            let (own, after) = rest.split_at(width * rows);
            rest = after;
            let (y, targets, loss) =
                (Rows::counted(own, rows, width), targets.output(index), output.loss.as_ref());
            totals.push(match self.masking_of(output) {
                None => Total { sum: loss.value(y, targets), terms: loss.terms(y) },
                Some(masking) => masked::value(loss, masking, x, y, targets),
            });
        }
        self.together(totals, rows)
    }

    /// The same; writes the gradient of the loss to `dy`.
    #[inline(always)]
    pub fn gradient(
        &self,
        x: Rows<'_, F>,
        y: Rows<'_, F>,
        targets: Targets<'_, F>,
        dy: RowsMut<'_, F>,
        totals: &mut Vec<Total>,
    ) -> Total {
        let Some(only) = self.only() else { return self.gradient_of_parts(x, y, targets, dy, totals) };
        let own = only.gradient(y, targets.output(0), dy);
        totals.clear();
        totals.push(own);
        only.weighted(own)
    }

    /// The same of several outputs, or of those that padding is left out of.
    #[inline(never)] // Or a small net pays for its frame.
    fn gradient_of_parts(
        &self,
        x: Rows<'_, F>,
        y: Rows<'_, F>,
        targets: Targets<'_, F>,
        mut dy: RowsMut<'_, F>,
        totals: &mut Vec<Total>,
    ) -> Total {
        totals.clear();
        let rows = y.len();
        let (mut rest, mut rest_dy) = (y.data(), dy.data());
        for (index, output) in self.outputs.iter().enumerate() {
            let width = output.shape.len();
            let (own, after) = rest.split_at(width * rows);
            let (own_dy, after_dy) = rest_dy.split_at_mut(width * rows);
            (rest, rest_dy) = (after, after_dy);
            let (y, dy, targets) = (
                Rows::counted(own, rows, width),
                RowsMut::counted(own_dy, rows, width),
                targets.output(index),
            );
            let (loss, weight) = (output.loss.as_ref(), output.weight);
            totals.push(match self.masking_of(output) {
                None => output.gradient(y, targets, dy),
                Some(masking) => masked::gradient((loss, weight), masking, x, y, targets, dy),
            });
        }
        self.together(totals, rows)
    }

    /// A loss judges the positions that count, if its output has a row for each.
    fn masking_of(&self, output: &OutputLoss<F>) -> Option<Masking> {
        self.masking.filter(|masking| output.has_rows(masking.positions))
    }

    /// Whether an output has a row for each position that may be padding.
    pub(crate) fn is_masked(&self) -> bool {
        self.outputs.iter().any(|output| self.masking_of(output).is_some())
    }

    /// One output's own total, weighted; of several, the loss as a mean over the rows of the batch.
    #[inline]
    pub(crate) fn together(&self, totals: &[Total], rows: usize) -> Total {
        match (&self.outputs[..], totals) {
            ([only], [total]) => only.weighted(*total),
            _ => {
                // Of an output of which the whole batch is padding there is nothing to add.
                let some = |(_, total): &(&OutputLoss<F>, &Total)| total.terms > 0.0;
                let means = self.outputs.iter().zip(totals).filter(some);
                let loss: f64 = means.map(|(output, total)| output.weight * total.mean()).sum();
                Total { sum: loss * rows as f64, terms: rows as f64 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Linear, Tanh};
    use crate::gradcheck::{Options, check_objective, numbers};
    use crate::layers::{Bundle, Dense, Graph, Node, Source};
    use crate::loss::{CrossEntropy, Mae, Mse, TargetData};
    use crate::{Ctx, Inline, Objective, Workspace, parameter_count};

    fn shape(axes: &[usize]) -> Shape {
        Shape::new(axes).unwrap()
    }

    fn output(name: &str, axes: &[usize], loss: impl Loss<f64> + 'static, weight: f64) -> OutputLoss<f64> {
        OutputLoss { name: name.into(), shape: shape(axes), loss: Box::new(loss), weight }
    }

    /// A stem that is read by both outputs, the first of which the second reads too.
    fn objective() -> Objective<f64> {
        let dense = |inputs, units| Box::new(Dense::new(&shape(&[inputs]), units, Box::new(Tanh)).unwrap());
        let nodes = vec![
            Node::new("stem", dense(4, 5), vec![Source::Input(0)]),
            Node::new("kind", dense(5, 3), vec![Source::Node(0)]),
            Node::new("price", dense(3, 2), vec![Source::Node(1)]),
            Node::new(
                "all",
                Box::new(Bundle::new(&[shape(&[3]), shape(&[2]), shape(&[5])]).unwrap()),
                vec![Source::Node(1), Source::Node(2), Source::Node(0)],
            ),
        ];
        let network = Box::new(Graph::new(vec![shape(&[4])], nodes).unwrap());
        let outputs = vec![
            output("kind", &[3], CrossEntropy::new(3), 1.0),
            output("price", &[2], Mse, 0.25),
            output("stem", &[5], Mse, 3.0),
        ];
        Objective::several(network, outputs).unwrap()
    }

    fn targets(rows: usize) -> Vec<TargetData<f64>> {
        let classes = (0..3).cycle().take(rows).collect();
        vec![
            TargetData::Classes { data: classes, per_sample: 1 },
            TargetData::Values { data: numbers(2 * rows, 3, 1), width: 2 },
            TargetData::Values { data: numbers(5 * rows, 3, 2), width: 5 },
        ]
    }

    #[test]
    fn gradients_of_several_outputs_equal_central_differences() {
        let objective = objective();
        let theta = numbers(parameter_count(&objective.parameters()).unwrap(), 1, 0);
        for rows in [1, 2, 7] {
            let (x, targets) = (numbers(4 * rows, 2, 0), targets(rows));
            let targets = Targets::of(&targets, 0..rows);
            let report =
                check_objective(&objective, &theta, Rows::new(&x, 4), targets, Options::default()).unwrap();
            assert!(report.proves(), "{rows} rows: {report:#?}");
        }
    }

    #[test]
    fn the_loss_is_the_weighted_sum_of_the_means_whatever_the_parts() {
        let objective = objective();
        let theta = numbers(parameter_count(&objective.parameters()).unwrap(), 1, 0);
        let (x, targets) = (numbers(4 * 7, 2, 0), targets(7));
        let mut workspace = Workspace::new(objective.network(), 7).unwrap();
        let mut evaluate = |range: std::ops::Range<usize>| {
            let inputs = Rows::new(&x[4 * range.start..4 * range.end], 4);
            let (targets, ctx) = (Targets::of(&targets, range), &mut Ctx::evaluate(&Inline, &[]));
            let loss = objective.value(&theta, &[inputs], targets, &mut workspace, ctx).mean();
            (loss, workspace.totals().to_vec())
        };
        let (whole, totals) = evaluate(0..7);
        let by_hand = totals[0].mean() + 0.25 * totals[1].mean() + 3.0 * totals[2].mean();
        assert!((whole - by_hand).abs() < 1e-14, "{whole} {by_hand}");
        assert_eq!((totals[0].terms, totals[1].terms, totals[2].terms), (7.0, 14.0, 35.0));
        let mut sums = [Total::NONE; 3];
        for part in [0..2, 2..7] {
            sums.iter_mut().zip(evaluate(part).1).for_each(|(sum, total)| *sum += total);
        }
        assert!((objective.loss().of(&sums) - whole).abs() < 1e-14);
    }

    #[test]
    fn padding_is_left_out_of_the_outputs_that_have_its_positions() {
        let dense = |units| Box::new(Dense::new(&shape(&[3, 2]), units, Box::new(Linear)).unwrap());
        let bundle = Bundle::new(&[shape(&[3, 2]), shape(&[3, 1])]).unwrap();
        let nodes = vec![
            Node::new("a", dense(2), vec![Source::Input(0)]),
            Node::new("b", dense(1), vec![Source::Input(0)]),
            Node::new("all", Box::new(bundle), vec![Source::Node(0), Source::Node(1)]),
        ];
        let network = Box::new(Graph::new(vec![shape(&[3, 2])], nodes).unwrap());
        let outputs = vec![output("a", &[3, 2], CrossEntropy::new(2), 2.0), output("b", &[3, 1], Mae, 1.0)];
        let masking = Masking { positions: 3, width: 2, value: 9.0 };
        let objective = Objective::several(network, outputs).unwrap().with_masking(masking).unwrap();
        assert!(objective.loss_is_masked());
        let theta = numbers(9, 1, 0);
        let x = [1.0, 2.0, -1.0, 0.5, 9.0, 9.0, 9.0, 9.0, 0.3, 9.0, 9.0, 9.0];
        let targets = [
            TargetData::Classes { data: vec![0, 1, 0, 1, 1, 0], per_sample: 3 },
            TargetData::Values { data: vec![4.0, -3.0, f64::NAN, f64::NAN, 5.0, f64::NAN], width: 3 },
        ];
        let x = Rows::new(&x, 6);
        let targets = Targets::of(&targets, 0..2);
        let mut workspace = Workspace::new(objective.network(), 2).unwrap();
        let ctx = &mut Ctx::evaluate(&Inline, &[]);
        assert!(objective.value(&theta, &[x], targets, &mut workspace, ctx).sum.is_finite());
        assert_eq!(workspace.totals().iter().map(|total| total.terms).collect::<Vec<_>>(), [3.0, 3.0]);
    }

    #[test]
    fn refuses_what_is_no_sum_of_losses() {
        let found = shape(&[5]);
        let new = |outputs| Weighted::new(outputs, &found).err();
        assert_eq!(new(vec![output("a", &[3], Mse, 1.0), output("b", &[2], Mse, 0.5)]), None);
        assert!(matches!(new(Vec::new()), Some(Error::InputCount { found: 0, .. })));
        assert!(matches!(new(vec![output("a", &[3], Mse, 1.0)]), Some(Error::LossShape { .. })));
        assert!(matches!(
            new(vec![output("a", &[5], CrossEntropy::new(3), 1.0)]),
            Some(Error::LossShape { .. })
        ));
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(new(vec![output("a", &[5], Mse, weight)]), Some(Error::LossWeight { .. })));
        }
    }
}
