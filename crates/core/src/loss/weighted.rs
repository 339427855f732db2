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
            let (y, targets, loss) = (Rows::new(own, width), targets.output(index), output.loss.as_ref());
            totals.push(match self.masking_of(output) {
                None => Total { sum: loss.value(y, targets), terms: loss.terms(y) },
                Some(masking) => masked::value(loss, masking, x, y, targets),
            });
        }
        self.together(totals, rows)
    }

    /// The same; writes the gradient of the loss to `dy`.
    #[inline]
    pub fn gradient(
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
            let (y, dy, targets) =
                (Rows::new(own, width), RowsMut::new(own_dy, width), targets.output(index));
            let (loss, weight) = (output.loss.as_ref(), output.weight);
            totals.push(match self.masking_of(output) {
                None => {
                    let terms = loss.terms(y);
                    Total { sum: loss.gradient(y, targets, F::of(weight / terms), dy), terms }
                }
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
    fn together(&self, totals: &[Total], rows: usize) -> Total {
        match (&self.outputs[..], totals) {
            ([only], [total]) => Total { sum: only.weight * total.sum, terms: total.terms },
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
